"""Many tasks, one after the other here or side by side with dask; what fails does not stop the rest.

A task that ends with an :class:`OSError` is tried again: disks and networks have bad moments. What a
task raises on purpose (:class:`PipelineError`) and a defect of this software are final. Either way
the task is reported as failed, and the others go on.
"""

import time
import traceback
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.errors import DataError, PipelineError

ATTEMPTS = 3
PAUSE = 0.5  # seconds before the next attempt, doubled each time

Task = TypeVar("Task")
Result = TypeVar("Result")
#: What a task does. The callable it gets takes how much has been done since the last call; it is
#: called wherever the task may end early, and raises :class:`Stopped` when it should.
Work = Callable[[Task, Callable[[int], None]], Result]


class Stopped(PipelineError):
    """The run was asked to stop before its end."""


@dataclass(frozen=True)
class Done(Generic[Result]):
    """A task that gave its result."""

    key: str
    result: Result


@dataclass(frozen=True)
class Failed:
    """A task that was given up. ``trace`` where the cause is a defect of this software."""

    key: str
    error: PipelineError
    trace: str | None = None


class Watcher:
    """What a run tells while it works. The methods do nothing; override those that matter."""

    def planned(self, tasks: int, amount: int) -> None:
        """``tasks`` will be done, together ``amount`` (of source bytes)."""

    def progressed(self, amount: int) -> None:
        """``amount`` more is done; negative when an attempt failed and begins again."""

    def finished(self, outcome: "Done | Failed") -> None:
        """One task has come to its end."""

    def noted(self, sentence: str) -> None:
        """Something the user should know now."""

    def should_stop(self) -> bool:
        """Whether to stop now; asked several times a second."""
        return False


def run_here(
    work: Work[Task, Result], tasks: Mapping[str, Task], watcher: Watcher
) -> Generator[Done[Result] | Failed]:
    """Do ``tasks``, by key, in this process and in their order. Raises :class:`Stopped`."""
    for key, task in tasks.items():
        yield _with_retries(work, key, task, watcher)


def _with_retries(
    work: Work[Task, Result], key: str, task: Task, watcher: Watcher
) -> Done[Result] | Failed:
    for attempt in range(ATTEMPTS):
        done = 0

        def tick(amount: int) -> None:
            nonlocal done
            if watcher.should_stop():
                raise Stopped("the run was asked to stop.")
            done += amount
            watcher.progressed(amount)

        try:
            return attempted(work, key, task, tick)
        except OSError as error:
            watcher.progressed(-done)
            last = error
        if attempt + 1 < ATTEMPTS:
            time.sleep(PAUSE * 2**attempt)
    return given_up(key, last)


def attempted(
    work: Work[Task, Result], key: str, task: Task, tick: Callable[[int], None]
) -> Done[Result] | Failed:
    """One attempt. Raises :class:`OSError` when another may succeed, and :class:`Stopped`."""
    try:
        return Done(key, work(task, tick))
    except (OSError, Stopped):
        raise
    except PipelineError as error:
        return Failed(key, error)
    except Exception as error:
        return Failed(key, _one_sentence(error), traceback.format_exc())


def given_up(key: str, error: BaseException) -> Failed:
    """The outcome of a task whose last attempt raised ``error``."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return Failed(
            key,
            DataError(
                f"{where}{error.strerror}, tried {ATTEMPTS} times; restore it and run again."
            ),
        )
    return Failed(key, _one_sentence(error))


def _one_sentence(error: BaseException) -> DataError:
    return DataError(" ".join(f"{type(error).__name__}: {error}".split()))
