"""Tasks side by side with dask: worker processes on this machine, or a cluster that is there.

The scheduler brings what this needs: a task whose worker is lost runs again on another one, and a
task that takes four workers down with it is given up (``KilledWorker``).
"""

import contextlib
import logging
import queue
import secrets
import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from typing import Any, Generic

from distributed import Client, Future, KilledWorker, LocalCluster, get_worker

from pipeline.errors import DataError, UsageError
from pipeline.tasks.processes import (
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
    with _connected(workers, scheduler) as client:
        run = _Run(client, work, abandon, watcher)
        if not client.scheduler_info()["workers"]:
            watcher.noted(f"{scheduler}: has no worker yet; waiting for one to join.")
        suspects: dict[str, Task] = {}
        with contextlib.closing(run.outcomes(tasks)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, _LostWorkers):
                    suspects[outcome.key] = tasks[outcome.key]
                else:
                    yield outcome
        # The scheduler suspects every task a lost worker had been given. Alone, each can show
        # whether it was to blame.
        for key, task in suspects.items():
            with contextlib.closing(run.outcomes({key: task})) as outcomes:
                for outcome in outcomes:
                    yield outcome.failed() if isinstance(outcome, _LostWorkers) else outcome


@dataclass(frozen=True)
class _LostWorkers:
    """A task whose workers died, one after the other."""

    key: str

    def failed(self) -> Failed:
        return Failed(
            self.key,
            DataError(
                "every worker that tried it died, perhaps for want of memory; run again with "
                "fewer workers, or look into the workers' logs."
            ),
        )


class _Run(Generic[Task, Result]):
    """Submits tasks and brings news of them."""

    def __init__(
        self,
        client: Client,
        work: Work[Task, Result],
        abandon: Callable[[], None],
        watcher: Watcher,
    ) -> None:
        self._client, self._work = client, work
        self._abandon, self._watcher = abandon, watcher
        self._news: queue.SimpleQueue[Future | tuple[str, int]] = queue.SimpleQueue()
        self._topic = f"progress-{secrets.token_hex(8)}"
        self._done: dict[str, int] = {}
        client.subscribe_topic(self._topic, lambda event: self._news.put(event[1]))

    def outcomes(
        self, tasks: Mapping[str, Task]
    ) -> Generator[Done[Result] | Failed | _LostWorkers]:
        """One outcome for each of ``tasks``, as they come."""
        # One group, given at once: the scheduler then keeps what workers cannot begin yet.
        group = f"recording-{secrets.token_hex(8)}"
        waiting = {(group, index): key for index, key in enumerate(tasks)}
        futures = self._client.map(
            partial(_attempt_on_worker, self._work, self._topic),
            list(tasks),
            list(tasks.values()),
            key=list(waiting),
            retries=ATTEMPTS - 1,
        )
        for future in futures:
            future.add_done_callback(self._news.put)
        try:
            while waiting:
                if self._watcher.should_stop():
                    raise Stopped("the run was asked to stop.")
                finished = self._next_finished()
                if finished is not None and finished.key in waiting:
                    yield _outcome(waiting.pop(finished.key), finished)
        finally:
            if waiting:
                self._abandon()
                self._let_end(waiting)
                with contextlib.suppress(Exception):  # the scheduler itself may be gone
                    self._client.cancel(futures)

    def _next_finished(self) -> Future | None:
        """The next future that is done; None after a while. Tells of progress meanwhile."""
        try:
            news = self._news.get(timeout=_POLL)
        except queue.Empty:
            return None
        if isinstance(news, Future):
            return news
        key, done = news  # so far in this attempt: less than before when it is a new one
        self._watcher.progressed(done - self._done.get(key, 0))
        self._done[key] = done
        return None

    def _let_end(self, waiting: dict) -> None:
        """Wait, with bounded patience, until no task touches a file any more."""
        give_up = time.monotonic() + _PATIENCE
        while waiting and time.monotonic() < give_up:
            future = self._next_finished()
            if future is not None:
                waiting.pop(future.key, None)


def _outcome(key: str, future: Future) -> Done | Failed | _LostWorkers:
    if future.status == "finished":
        return future.result()
    if future.status == "cancelled":
        raise DataError("The connection to the dask scheduler was lost; start it and run again.")
    error = future.exception()
    return _LostWorkers(key) if isinstance(error, KilledWorker) else given_up(key, error)


def _attempt_on_worker(work: Work[Task, Result], topic: str, key: str, task: Task) -> Any:
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


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Whatever process or thread is started meanwhile never sees Ctrl-C; this thread does, later.

    A terminal sends it to every process of a program, and only the run itself is to act on it.
    """
    resource_tracker.ensure_running()  # its first start would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _connected(workers: int, scheduler: str | None) -> Iterator[Client]:
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
    with _interrupts_held_back():
        # Processes, because parsing and zarr's bookkeeping hold the interpreter lock.
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client
