"""Tasks one after the other in this process."""

import time
from collections.abc import Mapping

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
    given_up,
)


def run_here(
    work: Work[Task, Result], tasks: Mapping[str, Task], watcher: Watcher
) -> Outcomes[Result]:
    """Do ``tasks``, by key, in this process and in their order.

    Yields:
        The outcome of each task.

    Raises:
        Stopped: the watcher says so.
    """
    for key, task in tasks.items():
        yield with_retries(work, key, task, watcher)


def with_retries(
    work: Work[Task, Result], key: str, task: Task, watcher: Watcher
) -> Done[Result] | Failed:
    """One task, tried again while the machine fails it; what a failed attempt did is taken back.

    Raises:
        Stopped: the watcher says so at one of the task's ticks.
    """
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
            time.sleep(outcomes.PAUSE * 2**attempt)
    return given_up(key, last)
