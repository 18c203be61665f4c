"""What `dmanet train` shows while it works."""

from typing import Any

import click

from cli.progress import progress_bar
from cli.signals import StopRequest
from dmanet.runs.log import EpochReport, StepReport
from dmanet.training.validation import VALIDATION_SCORE
from dmanet.training.watcher import TrainingWatcher


class SilentProgress(TrainingWatcher):
    """Shows nothing; stops on a signal."""

    def __init__(self, request: StopRequest) -> None:
        self._request = request

    def should_stop(self) -> bool:
        """Whether a signal asked to stop."""
        return self._request.signal_number is not None

    def close(self) -> None:
        """Nothing is shown from now on."""


class TrainingProgress(SilentProgress):
    """A bar of steps, a line for each epoch and each bad step; stops on a signal."""

    def __init__(self, request: StopRequest, quiet: bool) -> None:
        super().__init__(request)
        self._quiet = quiet
        self._bar: Any = progress_bar(None, "step", quiet)
        self._windows_validated = 0

    def stepped(self, report: StepReport, total_steps: int) -> None:
        """Move the bar to this step; say why it was skipped, if it was."""
        if self._bar.total is None:  # a resumed run: its rate is that of its own steps
            self._bar.total, self._bar.initial, self._bar.n = total_steps, report.step, report.step
        self._bar.set_postfix_str(
            f"epoch {report.epoch + 1} loss {report.loss:.3f} "
            f"data {1000 * report.data_s:.0f} ms step {1000 * report.step_s:.0f} ms",
            refresh=False,
        )
        self._bar.update(report.step + 1 - self._bar.n)
        if report.bad_step is not None:
            self.noted(f"step {report.step} skipped: {report.bad_step}")

    def validated(self, windows: int) -> None:
        """Show how many windows of this validation are done."""
        self._windows_validated += windows
        self._bar.set_postfix_str(f"validating: {self._windows_validated} windows")

    def epoch_ended(self, report: EpochReport) -> None:
        """Say what the epoch came to."""
        self._windows_validated = 0
        if not self._quiet:
            self.noted(f"epoch {report.epoch + 1}: mean loss {report.loss:.3f}{_judged(report)}")

    def noted(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        self._bar.clear()
        click.echo(sentence, err=True)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()


def _judged(report: EpochReport) -> str:
    """How good an epoch is; where there is nothing to score, its loss stands for that."""
    if report.score_of != VALIDATION_SCORE:
        return ", the least so far" if report.best else ""
    score = "none" if report.score is None else f"{report.score:.3f}"
    return f", {report.score_of}: {score}{', the best so far' if report.best else ''}"
