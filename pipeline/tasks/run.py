"""The one way to run a task for each recording: here, in processes, or on a dask cluster."""

from collections.abc import Callable, Mapping

from pipeline.errors import UsageError
from pipeline.tasks.outcomes import Outcomes, Result, Task, Watcher, Work
from pipeline.tasks.serial import run_here


def run_tasks(
    work: Work[Task, Result],
    tasks: Mapping[str, Task],
    watcher: Watcher | None = None,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    abandon: Callable[[], None] = lambda: None,
) -> Outcomes[Result]:
    """Do ``tasks``, by key: in this process and in their order, or side by side in any order.

    Wherever they run, a task that ends with an :class:`OSError` is tried again, one whose worker
    dies is given to another, and one that is given up does not stop the others. Close the generator
    to end the run early.

    Args:
        work: does one task; at module level, because it may be pickled.
        tasks: what ``work`` takes, by a name for people, such as a recording's id.
        watcher: is told of progress, and may ask to stop.
        workers: processes of this machine, no more than there are tasks; one is this process.
        scheduler: address of a dask cluster to run on instead.
        abandon: makes tasks of a cluster end soon; called when the run ends early.

    Returns:
        A generator of the outcome of each task, as they end.

    Raises:
        UsageError: fewer than one worker, or no scheduler at that address.
        Stopped: while it runs, the watcher says so.
        DataError: while it runs, the scheduler is lost, or processes die before they take a task.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers cannot do anything; give 1 or more.")
    watcher = watcher or Watcher()
    if scheduler is not None and tasks:
        from pipeline.tasks.dask_workers import run_on_cluster  # dask takes a while to import

        return run_on_cluster(work, tasks, watcher, scheduler, abandon)
    if min(workers, len(tasks)) > 1:
        from pipeline.tasks.processes import run_in_processes

        return run_in_processes(work, tasks, watcher, workers)
    return run_here(work, tasks, watcher)
