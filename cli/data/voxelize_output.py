"""What `dmanet-data voxelize` shows while it works and at its end."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.progress import progress_bar
from cli.signals import StopRequest
from pipeline.tasks.outcomes import Done, Failed, Watcher

if TYPE_CHECKING:
    from pipeline.voxelizing.outcome import VoxelizeReport

FAILED_EXIT_CODE = 1
LEFT_OUT_EXIT_CODE = 3
_LISTED = 20  # windows named on the terminal; a report lists all


class Progress(Watcher):
    """A bar of source bytes, with recordings, rate and time left; stops on a signal."""

    def __init__(self, request: StopRequest, quiet: bool) -> None:
        self._request = request
        self._quiet = quiet
        self._bar: Any = None
        self._finished = self._tasks = 0

    def planned(self, tasks: int, amount: int) -> None:
        """Open the bar: ``tasks`` recordings with ``amount`` bytes of source files."""
        self._tasks = tasks
        self._bar = progress_bar(amount, "B", self._quiet, unit_scale=True, desc=self._count())

    def progressed(self, amount: int) -> None:
        """Move the bar by ``amount`` bytes."""
        self._bar.update(amount)

    def finished(self, outcome: Done | Failed) -> None:
        """Count one more recording."""
        self._finished += 1
        self._bar.set_description(self._count())

    def noted(self, sentence: str) -> None:
        """Print a sentence."""
        click.echo(sentence, err=True)

    def should_stop(self) -> bool:
        """Whether a signal asked to stop."""
        return self._request.signal_number is not None

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _count(self) -> str:
        return f"{self._finished}/{self._tasks} recordings"


def summary(facts: dict[str, Any], cache: Path, report: "VoxelizeReport") -> str:
    """What the cache holds now, in one line."""
    from pipeline.statistics.info import format_bytes

    return (
        f"{cache}: {facts['recordings']} recordings ({len(report.made)} made now), "
        f"{facts['windows']} windows, {format_bytes(facts['cache_bytes'])}."
    )


def print_outcome(report: "VoxelizeReport") -> None:
    """What is not in the cache, and why, on stderr."""
    for window in report.left_out[:_LISTED]:
        click.echo(str(window), err=True)
    more = len(report.left_out) - _LISTED
    if more > 0:
        click.echo(f"and {more} windows more; --report FILE lists all.", err=True)
    if report.waiting:
        click.echo(
            f"{len(report.waiting)} recordings wait for their files; run again when they are there.",
            err=True,
        )
    for failed in report.failed:
        click.echo(f"failed: {failed.key}: {failed.error}", err=True)
        if failed.trace:
            click.echo(failed.trace, err=True)
    if report.failed:
        click.echo(
            f"{len(report.failed)} recordings failed; run the same command again to try only them.",
            err=True,
        )


def exit_code(report: "VoxelizeReport") -> int:
    """1 when a recording failed, 3 when windows are left out or repeated, 0 otherwise."""
    if report.failed:
        return FAILED_EXIT_CODE
    return LEFT_OUT_EXIT_CODE if report.left_out else 0
