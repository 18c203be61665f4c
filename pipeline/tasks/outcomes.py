"""How tasks end, what is told of them meanwhile, and when one is tried again.

A task that ends with an :class:`OSError` is tried again: disks and networks have bad moments. A full
disk, what a task raises on purpose (:class:`PipelineError`) and a defect of this software are final.
Either way the task is reported as failed, and the others go on.
"""

import errno
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.errors import DataError, PipelineError, machine_sentence

ATTEMPTS = 3
PAUSE = 0.5  # seconds before the next attempt, doubled each time
#: A full disk takes no second attempt either.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LIVES = 4  # workers that a task may take down with it before it is given up

Task = TypeVar("Task")
Result = TypeVar("Result")
#: What a task does. The callable it gets takes how much has been done since the last call; it is
#: called wherever the task may end early, and raises :class:`Stopped` when it should.
Work = Callable[[Task, Callable[[int], None]], Result]


class Stopped(PipelineError):
    """The run was asked to stop before its end."""


class TaskDefectError(Exception):
    """A task ended by a defect of this software; the text is the traceback from where it ran."""


@dataclass(frozen=True)
class Done(Generic[Result]):
    """A task that gave its result."""

    key: str
    result: Result


@dataclass(frozen=True)
class Failed:
    """A task that was given up, and the sentence that says why.

    ``cause``: what the machine said at the last attempt, where the machine failed. ``trace``: where
    it happened, for a defect of this software.
    """

    key: str
    error: PipelineError
    trace: str | None = None
    cause: OSError | None = None


Outcomes = Generator[Done[Result] | Failed]


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


class Counter(Watcher):
    """Passes progress on to a plain callable.

    Args:
        tell: called with what has been done since it was called last.
    """

    def __init__(self, tell: Callable[[int], object] | None) -> None:
        self._tell = tell

    def progressed(self, amount: int) -> None:
        """Tell what was done."""
        if amount and self._tell is not None:
            self._tell(amount)


def counted(progress: Callable[[int, int], object] | None, total: int) -> Counter:
    """A watcher that calls ``progress`` with how much is done and with ``total``."""
    if progress is None:
        return Counter(None)
    done = 0

    def tell(amount: int) -> None:
        nonlocal done
        done += amount
        progress(done, total)

    return Counter(tell)


def result_of(outcome: Done[Result] | Failed) -> Result:
    """The result of a task that no other task can make up for.

    Raises:
        PipelineError: the sentence of a failed task.
        TaskDefectError: a defect of this software, with its traceback.
    """
    if isinstance(outcome, Done):
        return outcome.result
    if outcome.trace is not None:
        raise TaskDefectError(f"{outcome.key}:\n{outcome.trace}") from None
    raise outcome.error


def attempted(
    work: Work[Task, Result], key: str, task: Task, tick: Callable[[int], None]
) -> Done[Result] | Failed:
    """One attempt at a task.

    Raises:
        OSError: another attempt may succeed.
        Stopped: the run ends.
    """
    try:
        return Done(key, work(task, tick))
    except OSError as error:
        if error.errno in NO_ROOM:
            return given_up(key, error, attempts=1)
        raise
    except Stopped:
        raise
    except PipelineError as error:
        return Failed(key, error)
    except MemoryError:
        sentence = "the memory that a process may have does not suffice; run with fewer workers."
        return Failed(key, DataError(sentence))
    except Exception as error:
        return defect(key, error)


def defect(key: str, error: Exception) -> Failed:
    """The outcome of a task that raised what nobody foresaw, with its traceback."""
    return Failed(key, _one_sentence(error), "".join(traceback.format_exception(error)))


def given_up(key: str, error: BaseException, attempts: int = ATTEMPTS) -> Failed:
    """The outcome of a task whose last attempt raised ``error``."""
    if not isinstance(error, OSError):
        return Failed(key, _one_sentence(error))
    if not error.strerror:
        return Failed(key, _one_sentence(error), cause=error)
    times = "once" if attempts == 1 else f"{attempts} times"
    sentence = f"{machine_sentence(error).rstrip('.')}, tried {times}; restore it and run again."
    return Failed(key, DataError(sentence), cause=error)


def lost(key: str) -> Failed:
    """The outcome of a task that :data:`LIVES` workers did not survive."""
    return Failed(
        key,
        DataError(
            "every worker that tried it died, perhaps for want of memory; run again with "
            "fewer workers, or look into the workers' logs."
        ),
    )


def _one_sentence(error: BaseException) -> DataError:
    return DataError(" ".join(f"{type(error).__name__}: {error}".split()))
