"""Tasks on a dask cluster that is there.

The scheduler brings what this needs: a task whose worker is lost runs again on another one, and a
task that takes four workers down with it is given up (``KilledWorker``).
"""

import contextlib
import logging
import pickle
import queue
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from distributed import Client, Future, KilledWorker, get_worker

from pipeline.errors import DataError, UsageError
from pipeline.tasks import outcomes
from pipeline.tasks.outcomes import (
    ATTEMPTS,
    Done,
    Failed,
    Outcomes,
    Result,
    Stopped,
    Task,
    Watcher,
    Work,
    attempted,
    defect,
    given_up,
    lost,
)

_POLL = 0.2  # seconds
_FETCH = 2.0  # seconds to wait for a result before looking whether its worker is still there
_CONNECT = "10s"
_PATIENCE = 20.0  # seconds for running tasks to notice that the run stops


def run_on_cluster(
    work: Work[Task, Result],
    tasks: Mapping[str, Task],
    watcher: Watcher,
    scheduler: str,
    abandon: Callable[[], None],
) -> Outcomes[Result]:
    """Do ``tasks``, by key, in any order, on the cluster of the scheduler at this address.

    When the run stops early (:class:`Stopped`, or the caller closes the generator) ``abandon`` is
    called: it must make running and waiting tasks end soon.

    Yields:
        The outcome of each task, in the order in which they end.

    Raises:
        Stopped: the watcher says so.
        UsageError: no scheduler answers at that address.
        DataError: the scheduler is lost.
    """
    with _connected(scheduler) as client:
        run = _Run(client, work, abandon, watcher)
        if not client.scheduler_info()["workers"]:
            watcher.noted(f"{scheduler}: has no worker yet; waiting for one to join.")
        suspects: dict[str, Task] = {}
        with contextlib.closing(run.outcomes(tasks)) as ended:
            for outcome in ended:
                if isinstance(outcome, _LostWorkers):
                    suspects[outcome.key] = tasks[outcome.key]
                else:
                    yield outcome
        # The scheduler suspects every task a lost worker had been given. Alone, each can show
        # whether it was to blame.
        for key, task in suspects.items():
            with contextlib.closing(run.outcomes({key: task})) as ended:
                for outcome in ended:
                    yield lost(key) if isinstance(outcome, _LostWorkers) else outcome


@dataclass(frozen=True)
class _LostWorkers:
    """A task whose workers died, one after the other."""

    key: str


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
        self._given_up: set[str] = set()
        client.subscribe_topic(self._topic, lambda event: self._news.put(event[1]))

    def outcomes(
        self, tasks: Mapping[str, Task]
    ) -> Generator[Done[Result] | Failed | _LostWorkers]:
        """One outcome for each of ``tasks``, as they come."""
        waiting = self._submitted(tasks)
        try:
            while waiting:
                if self._watcher.should_stop():
                    raise Stopped("the run was asked to stop.")
                future = self._next_finished()
                if future is None or future.key not in waiting:
                    continue
                outcome = _outcome(waiting[future.key][0], future)
                if outcome is None:
                    future.add_done_callback(self._news.put)
                    continue
                # Results still asked for are made again when the worker that holds them dies.
                del waiting[future.key]
                if future.status == "error":
                    self._take_back(outcome.key)
                future.release()
                yield outcome
        finally:
            if waiting:
                self._abandon()
                unfinished = [future for _, future in waiting.values()]
                self._let_end(waiting)
                with contextlib.suppress(Exception):  # the scheduler itself may be gone
                    self._client.cancel(unfinished)

    def _submitted(self, tasks: Mapping[str, Task]) -> dict[Any, tuple[str, Future]]:
        """Name and future of each task, by the scheduler's key."""
        # One group, given at once: the scheduler then keeps what workers cannot begin yet.
        self._given_up -= set(tasks)
        group = f"recording-{secrets.token_hex(8)}"
        futures = self._client.map(
            partial(_attempt_on_worker, self._work, self._topic),
            list(tasks),
            list(tasks.values()),
            key=[(group, number) for number in range(len(tasks))],
            retries=ATTEMPTS - 1,
        )
        for future in futures:
            future.add_done_callback(self._news.put)
        return {future.key: (name, future) for name, future in zip(tasks, futures, strict=True)}

    def _next_finished(self) -> Future | None:
        """The next future that is done; None after a while. Tells of progress meanwhile."""
        try:
            news = self._news.get(timeout=_POLL)
        except queue.Empty:
            return None
        if isinstance(news, Future):
            return news
        key, done = news  # so far in this attempt: less than before when it is a new one
        if key not in self._given_up:  # news of its last attempt may come after its end
            self._watcher.progressed(done - self._done.get(key, 0))
            self._done[key] = done
        return None

    def _take_back(self, key: str) -> None:
        """What a task had done that was given up is not done."""
        self._watcher.progressed(-self._done.pop(key, 0))
        self._given_up.add(key)

    def _let_end(self, waiting: dict) -> None:
        """Wait, with bounded patience, until no task touches a file any more."""
        give_up = time.monotonic() + _PATIENCE
        while waiting and time.monotonic() < give_up:
            future = self._next_finished()
            if future is not None:
                waiting.pop(future.key, None)


def _outcome(key: str, future: Future) -> Done | Failed | _LostWorkers | None:
    """What came of a future that was done; None when it is to be done again.

    Until a result is fetched only the worker has it. When that worker dies, and it may do so for
    another task's fault, the scheduler gives the task to the next one.
    """
    if future.status == "finished":
        try:
            outcome: Done | Failed = pickle.loads(future.result(timeout=_FETCH))
            return outcome
        except TimeoutError:
            return None
        except Exception:
            if future.status == "finished":
                raise
            return None
    if future.status == "cancelled":
        raise DataError("The connection to the dask scheduler was lost; start it and run again.")
    if future.status != "error":
        return None
    error = future.exception()
    return _LostWorkers(key) if isinstance(error, KilledWorker) else given_up(key, error)


def _attempt_on_worker(work: Work[Task, Result], topic: str, key: str, task: Task) -> bytes:
    """One attempt; its outcome is pickled here, where an outcome that cannot be is the task's own."""
    worker, done = get_worker(), 0

    def tick(amount: int) -> None:
        nonlocal done
        done += amount
        if amount:
            worker.log_event(topic, (key, done))

    try:
        outcome = attempted(work, key, task, tick)
    except OSError:
        time.sleep(outcomes.PAUSE)
        raise
    try:
        return pickle.dumps(outcome)
    except Exception as error:
        return pickle.dumps(defect(key, error))


@contextlib.contextmanager
def _connected(scheduler: str) -> Iterator[Client]:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # failures are told by name here
    try:
        client = Client(scheduler, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{scheduler}: no dask scheduler answers there ({type(error).__name__}); start one "
            "with `dask scheduler` and give the address it prints."
        ) from None
    with client:
        yield client
