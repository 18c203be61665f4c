"""Tasks for the tests of running tasks; at module level, so that worker processes find them."""

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.cache.build_folder import BuildFolder
from pipeline.errors import DataError
from pipeline.tasks.outcomes import Watcher


@dataclass(frozen=True)
class Task:
    """What to do in ``folder``, where every attempt leaves a line in the file ``name``."""

    name: str
    folder: Path
    kind: str = "succeed"

    @property
    def attempts(self) -> int:
        file = self.folder / self.name
        return len(file.read_text().splitlines()) if file.exists() else 0


def do(task: Task, tick: Callable[[int], None]) -> str:
    with (task.folder / task.name).open("a") as file:
        file.write(f"{os.getpid()}\n")
    tick(3)
    if task.kind == "fail on purpose":
        raise DataError(f"{task.name}: is not what it should be.")
    if task.kind == "have a defect":
        raise ZeroDivisionError("an unforeseen\ndivision")
    if task.kind == "fail once" and task.attempts == 1:
        raise OSError(errno.EIO, os.strerror(errno.EIO), task.name)
    if task.kind == "always fail":
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), task.name)
    if task.kind == "lose the worker once" and task.attempts == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if task.kind == "lose the worker late" and task.attempts == 1:
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    if task.kind == "always lose the worker":
        os.kill(os.getpid(), signal.SIGKILL)
    if task.kind == "take long the second time" and task.attempts == 2:
        time.sleep(3)
    if task.kind == "work until abandoned":
        folder = BuildFolder(task.folder / "run")
        try:
            while True:
                tick(0)
                folder.check()
                time.sleep(0.01)
        finally:
            folder.remove()
    tick(4)
    return f"{task.name} done"


class DeadlyToLoad:
    """Work that ends every process that unpickles it."""

    def __reduce__(self):
        return os._exit, (3,)


def give_what_cannot_travel(task: int, tick: Callable[[int], None]) -> object:
    """A lambda for the first task, its number for others."""
    return (lambda: task) if task == 1 else task


class Recorder(Watcher):
    """Remembers what it was told; asks to stop once ``stop_when`` holds."""

    def __init__(self, stop_when: Callable[[], bool] = lambda: False) -> None:
        self.amount = 0
        self.outcomes: list = []
        self.notes: list[str] = []
        self.should_stop = stop_when

    def progressed(self, amount: int) -> None:
        self.amount += amount

    def finished(self, outcome) -> None:
        self.outcomes.append(outcome)

    def noted(self, sentence: str) -> None:
        self.notes.append(sentence)


_locks = []


def keep_a_lock(task: int, tick: Callable[[int], None]) -> int:
    """Leave a semaphore to be given back at this process's end, as many libraries do."""
    _locks.append(multiprocessing.Lock())
    return task
