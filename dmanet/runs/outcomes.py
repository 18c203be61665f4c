"""What becomes of training steps: outcomes, bad steps, and the counts of a run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["made", "overflow", "bad loss", "bad gradient"]


@dataclass(frozen=True)
class BadStep:
    """Where numbers were lost.

    Attributes:
        outcome: what was not a number.
        terms: the loss terms.
        gradient_norms: 2-norms by top-level module of the network.
        windows: the ranges of windows of the batch, such as ``train/a/b 30…39``.
    """

    outcome: Outcome
    terms: dict[str, float]
    gradient_norms: dict[str, float]
    windows: tuple[str, ...]

    def __str__(self) -> str:
        """One sentence part: what is not a number, where, and on which windows."""
        if self.outcome == "bad loss":
            what = "the loss is not a number (" + _listed(self.terms) + ")"
        else:
            lost = {k: v for k, v in self.gradient_norms.items() if not math.isfinite(v)}
            # Finite norms of all modules can still add up to more than float32 holds.
            what = "the gradient is not a number (" + _listed(lost or self.gradient_norms) + ")"
        return f"{what} on the windows {', '.join(self.windows)}"


@dataclass
class Tally:
    """What became of the steps of a run so far.

    Attributes:
        made: steps that changed the weights.
        clipped: those of them whose gradient was cut to the largest norm.
        bad: steps skipped because a loss or gradient was not a number.
        bad_in_a_row: the last of them, with none made between.
        overflows: steps skipped to lower the loss scale.
        epoch_made: steps made in this epoch.
        epoch_loss: the sum of their losses.
    """

    made: int = 0
    clipped: int = 0
    bad: int = 0
    bad_in_a_row: int = 0
    overflows: int = 0
    epoch_made: int = 0
    epoch_loss: float = 0.0

    @property
    def clip_rate(self) -> float:
        """Share of the steps made whose gradient was clipped."""
        return self.clipped / max(1, self.made)

    @property
    def mean_loss(self) -> float:
        """Mean loss of the epoch's steps so far; NaN without any."""
        return self.epoch_loss / self.epoch_made if self.epoch_made else math.nan

    def count(self, outcome: Outcome, loss: float, clipped: bool) -> None:
        """Count one step."""
        if outcome == "made":
            self.made += 1
            self.clipped += clipped
            self.epoch_made += 1
            self.epoch_loss += loss
            self.bad_in_a_row = 0
        elif outcome == "overflow":
            self.overflows += 1
        else:
            self.bad += 1
            self.bad_in_a_row += 1

    def begin_epoch(self) -> None:
        """Forget the losses of the epoch before."""
        self.epoch_made, self.epoch_loss = 0, 0.0


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())
