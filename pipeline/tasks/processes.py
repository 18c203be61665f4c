"""Tasks side by side in processes of this machine.

A process works on one task at a time, so the death of one names the task that was to blame: it is
tried again by a new process, and given up when it has taken :data:`LIVES` of them with it. A process
learns that the run ends by its pipe, which the run closes: at the task's next tick, or when this
process is gone, however it ended.
"""

import contextlib
import multiprocessing
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from typing import Any, Generic

from pipeline.errors import DataError
from pipeline.tasks.outcomes import (
    LIVES,
    Outcomes,
    Result,
    Stopped,
    Task,
    Watcher,
    Work,
    defect,
    lost,
)
from pipeline.tasks.serial import with_retries

_POLL = 0.2  # seconds
_PATIENCE = 20.0  # seconds for running tasks to notice that the run stops
_READY = "ready"


def run_in_processes(
    work: Work[Task, Result], tasks: Mapping[str, Task], watcher: Watcher, workers: int
) -> Outcomes[Result]:
    """Do ``tasks``, by key, in ``workers`` processes; they begin in their order.

    ``work`` and the tasks are pickled. When the run ends early (:class:`Stopped`, or the caller
    closes the generator) every process ends its task at the next tick.

    Yields:
        The outcome of each task, in the order in which they end.

    Raises:
        Stopped: the watcher says so.
        DataError: processes die before they take a task.
    """
    run = _Run(work, tasks, watcher)
    try:
        yield from run.outcomes(workers)
    finally:
        run.end()


class _Worker:
    """One process, and the task it has been given."""

    def __init__(self, work: Work) -> None:
        context = multiprocessing.get_context("spawn")  # numba's and numpy's threads do not fork
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work_for, args=(theirs, work), daemon=True)
        with _interrupts_held_back():
            self.process.start()
        theirs.close()  # the process alone holds it: its death ends the pipe
        self.started = False
        self.key: str | None = None
        self.done = 0  # of the task so far


class _Run(Generic[Task, Result]):
    """Gives tasks to processes and brings what comes of them."""

    def __init__(
        self, work: Work[Task, Result], tasks: Mapping[str, Task], watcher: Watcher
    ) -> None:
        self._work, self._tasks, self._watcher = work, tasks, watcher
        self._waiting = deque(tasks)
        self._workers: dict[Connection, _Worker] = {}
        self._deaths: Counter[str] = Counter()
        self._stillborn = 0

    def outcomes(self, workers: int) -> Outcomes[Result]:
        while self._waiting or any(worker.key is not None for worker in self._workers.values()):
            if self._watcher.should_stop():
                raise Stopped("the run was asked to stop.")
            while len(self._workers) < min(workers, self._unfinished()):
                worker = _Worker(self._work)
                self._workers[worker.pipe] = worker
            for worker in self._workers.values():
                if worker.started and worker.key is None and self._waiting:
                    self._give_task(worker)
            for pipe in connection.wait(list(self._workers), _POLL):
                worker = self._workers[pipe]  # type: ignore[index]
                try:
                    news = worker.pipe.recv()
                except (EOFError, OSError):
                    yield from self._buried(worker)
                    continue
                if isinstance(news, int):
                    worker.done += news
                    self._watcher.progressed(news)
                    continue
                if news == _READY:
                    worker.started = True
                    self._stillborn = 0
                    continue
                worker.key, worker.done = None, 0
                yield news

    def _unfinished(self) -> int:
        return len(self._waiting) + sum(w.key is not None for w in self._workers.values())

    def _give_task(self, worker: _Worker) -> None:
        worker.key = self._waiting.popleft()
        with contextlib.suppress(OSError):  # it died just now: its pipe will say so
            worker.pipe.send((worker.key, self._tasks[worker.key]))

    def _buried(self, worker: _Worker) -> Outcomes[Result]:
        """Take a process that died out; its task goes to another one, or is given up."""
        del self._workers[worker.pipe]
        worker.pipe.close()
        worker.process.join()
        if not worker.started:
            self._stillborn += 1
            if self._stillborn == LIVES:
                raise DataError(
                    f"processes end with exit code {worker.process.exitcode} while they start; run "
                    "with one worker, or look for the cause in what they print."
                )
        if worker.key is None:
            return
        self._watcher.progressed(-worker.done)
        self._deaths[worker.key] += 1
        if self._deaths[worker.key] < LIVES:
            self._waiting.append(worker.key)
        else:
            yield lost(worker.key)

    def end(self) -> None:
        """Let every process end its task, with bounded patience."""
        give_up = time.monotonic() + _PATIENCE
        for worker in self._workers.values():
            worker.pipe.close()
            if not worker.started:
                worker.process.kill()  # it is still importing; others end by themselves, and in order
        for worker in self._workers.values():
            worker.process.join(max(0.0, give_up - time.monotonic()))
            worker.process.kill()  # does nothing to one that has ended
            worker.process.join()


def _work_for(run: Connection, work: Work) -> None:
    """What a process does: tasks, until the run closes the pipe."""
    watcher = _Told(run)
    with contextlib.suppress(Stopped, EOFError, OSError):
        run.send(_READY)
        while True:
            key, task = run.recv()
            outcome = with_retries(work, key, task, watcher)
            try:
                run.send(outcome)
            except OSError:
                raise
            except Exception as error:  # the result cannot be pickled
                run.send(defect(key, error))


class _Told(Watcher):
    """Tells the run of progress; to stop is what the run says by closing the pipe."""

    def __init__(self, run: Connection) -> None:
        self._run = run

    def progressed(self, amount: int) -> None:
        if amount:
            try:
                self._run.send(int(amount))
            except OSError:  # not to be taken for a fault of the task's own files
                raise Stopped("the run has ended.") from None

    def should_stop(self) -> bool:
        return self._run.poll()  # while a task is under way nothing is sent: this is the pipe's end


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Whatever process is started meanwhile never sees Ctrl-C; this thread does, later.

    A terminal sends it to every process of a program, and only the run itself is to act on it.
    """
    resource_tracker.ensure_running()  # its first start would let the signal through again
    before: set[Any] = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
