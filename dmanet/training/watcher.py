"""What a training run tells the program that started it, and asks of it."""

from dmanet.runs.log import EpochReport, StepReport


class TrainingWatcher:
    """What a run tells while it works. The methods do nothing; override those that matter."""

    def stepped(self, report: StepReport, total_steps: int) -> None:
        """One of the run's ``total_steps`` is over, made or skipped."""

    def validated(self, windows: int) -> None:
        """So many windows more of the split `val` are evaluated."""

    def epoch_ended(self, report: EpochReport) -> None:
        """One epoch is over."""

    def noted(self, sentence: str) -> None:
        """Something the user should know now."""

    def should_stop(self) -> bool:
        """Whether to save and stop; asked after each step."""
        return False
