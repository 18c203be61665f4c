"""Tasks side by side with dask: worker processes on this machine, or a cluster that is there.

The scheduler brings what this needs: a task whose worker is lost runs again on another one, and a
task that takes every worker down with it ends as ``KilledWorker`` after four.
"""

import contextlib
import logging
import queue
import secrets
import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from distributed import Client, Future, KilledWorker, LocalCluster, get_worker
from distributed.diagnostics.plugin import WorkerPlugin

from pipeline.errors import DataError, UsageError
from pipeline.parallel import (
    ATTEMPTS,
    PAUSE,
    Done,
    Failed,
    Result,
    Stopped,
    Task,
    Watcher,
    Work,
    attempted,
    given_up,
)

_POLL = 0.2  # seconds
_CONNECT = "10s"
_PATIENCE = 20.0  # seconds for running tasks to notice that the run stops


def run_on_workers(
    work: Work[Task, Result],
    tasks: Mapping[str, Task],
    watcher: Watcher,
    abandon: Callable[[], None],
    *,
    workers: int = 1,
    scheduler: str | None = None,
) -> Generator[Done[Result] | Failed]:
    """Do ``tasks``, by key, in any order, on ``workers`` processes or on the cluster ``scheduler``.

    When the run stops early (:class:`Stopped`, or the caller closes the generator) ``abandon`` is
    called: it must make running and waiting tasks end soon. Raises :class:`UsageError` when no
    scheduler answers at that address, :class:`DataError` when it is lost.
    """
    with _connected(workers, scheduler, watcher) as client:
        news: queue.SimpleQueue[Future | tuple[str, int]] = queue.SimpleQueue()
        topic = f"progress-{secrets.token_hex(8)}"
        client.subscribe_topic(topic, lambda event: news.put(event[1]))
        waiting: dict[str, str] = {}  # a task's key by its future's
        futures = []
        for key, task in tasks.items():
            name = f"{key}-{secrets.token_hex(4)}"
            future = client.submit(
                _attempt_on_worker, work, key, task, topic, key=name, retries=ATTEMPTS - 1
            )
            future.add_done_callback(news.put)
            waiting[name] = key
            futures.append(future)
        if not client.scheduler_info()["workers"]:
            watcher.noted(f"{scheduler}: has no worker yet; waiting for one to join.")
        try:
            yield from _outcomes(news, waiting, watcher)
        finally:
            if waiting:
                abandon()
                _let_end(news, waiting)
                with contextlib.suppress(Exception):  # the scheduler itself may be gone
                    client.cancel(futures)


def _outcomes(
    news: queue.SimpleQueue, waiting: dict[str, str], watcher: Watcher
) -> Generator[Done | Failed]:
    done: dict[str, int] = {}
    while waiting:
        if watcher.should_stop():
            raise Stopped("the run was asked to stop.")
        try:
            item = news.get(timeout=_POLL)
        except queue.Empty:
            continue
        if isinstance(item, Future):
            yield _outcome(waiting.pop(str(item.key)), item)
        else:
            key, amount = item  # so far in this attempt: less than before when it is a new one
            watcher.progressed(amount - done.get(key, 0))
            done[key] = amount


def _outcome(key: str, future: Future) -> Done | Failed:
    if future.status == "finished":
        return future.result()
    if future.status == "cancelled":
        raise DataError("The connection to the dask scheduler was lost; start it and run again.")
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Failed(
            key,
            DataError(
                f"its worker died {error.allowed_failures + 1} times, perhaps for want of memory; "
                "run again with fewer workers, or look into the workers' logs."
            ),
        )
    return given_up(key, error)


def _let_end(news: queue.SimpleQueue, waiting: dict[str, str]) -> None:
    """Wait, with bounded patience, until no task touches a file any more."""
    give_up = time.monotonic() + _PATIENCE
    while waiting and time.monotonic() < give_up:
        with contextlib.suppress(queue.Empty):
            item = news.get(timeout=_POLL)
            if isinstance(item, Future):
                waiting.pop(str(item.key), None)


def _attempt_on_worker(work: Work[Task, Result], key: str, task: Task, topic: str) -> Any:
    worker, done = get_worker(), 0

    def tick(amount: int) -> None:
        nonlocal done
        done += amount
        if amount:
            worker.log_event(topic, (key, done))

    try:
        return attempted(work, key, task, tick)
    except OSError:
        time.sleep(PAUSE)
        raise


class _LeaveInterruptsToTheRun(WorkerPlugin):
    """Ctrl-C reaches every process of the terminal; only the run itself is to act on it."""

    def setup(self, worker: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _connected(workers: int, scheduler: str | None, watcher: Watcher) -> Iterator[Client]:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # failures are told by name below
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=_CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{scheduler}: no dask scheduler answers there ({type(error).__name__}); start one "
                "with `dask scheduler` and give the address it prints."
            ) from None
        with client:
            yield client
        return
    # Processes, because parsing and zarr's bookkeeping hold the interpreter lock.
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(_LeaveInterruptsToTheRun(), name="leave-interrupts-to-the-run")
        yield client
