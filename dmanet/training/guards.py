"""What happens to a training step whose loss or gradient is not a number.

Such a step is *bad*: nothing of it stays in weights, optimiser, averages or running statistics. It
is counted and described, and many of them in a row stop the run. With float16, gradients that
overflow because of the loss scale are no fault of the network: such a step is an *overflow*, skipped
as well, and counted apart.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from dmanet.models.detector import State
from pipeline.errors import PipelineError

LEAST_LOSS_SCALE = 1.0  # at this scale an overflow is the network's own

Outcome = Literal["made", "overflow", "bad loss", "bad gradient"]


class DivergedError(PipelineError):
    """Too many bad steps in a row: training cannot go on by itself."""


@dataclass(frozen=True)
class BadStep:
    """Where numbers were lost.

    ``terms``: the loss terms; ``gradient_norms``: by top-level module of the network; ``windows``:
    the ranges of windows of the batch, such as ``train/a/b 30…39``.
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

    ``made`` steps changed the weights, ``clipped`` of them with a gradient cut to the largest
    norm; ``bad`` and ``overflows`` were skipped, the last ``bad_in_a_row`` with none made between.
    ``epoch_loss`` is the sum of the losses of the ``epoch_made`` steps made in this epoch.
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


def judge(loss: float, gradient_norm: float, loss_scale: float | None) -> Outcome:
    """What a step with these values is; ``loss_scale`` is that of float16, else None."""
    if not math.isfinite(loss):
        return "bad loss"
    if math.isfinite(gradient_norm):
        return "made"
    if loss_scale is not None and loss_scale > LEAST_LOSS_SCALE:
        return "overflow"
    return "bad gradient"


class KeptStatistics:
    """A copy of a network's buffers (the running statistics) from before a forward pass.

    A forward pass in training mode updates them before anybody knows whether its numbers are any
    good, and one NaN would stay in them for ever.
    """

    def __init__(self, model: nn.Module) -> None:
        self._buffers = list(model.buffers())
        self._kept = [buffer.clone() for buffer in self._buffers]

    def keep(self) -> None:
        """Copy the buffers as they are now."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)

    def restore(self) -> None:
        """Put the copies back."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            buffer.copy_(kept)


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """2-norm of the gradients of each top-level module, 0 for one without gradients."""
    norms = {
        name: torch.nn.utils.get_total_norm(
            [p.grad.float() for p in module.parameters() if p.grad is not None]
        )
        for name, module in model.named_children()
    }
    return {name: norm.item() for name, norm in norms.items()}


def is_finite(state: State) -> bool:
    """Whether everything that a network carries on is a number."""
    tensors = [tensor for level in state for tensor in (level.hidden, level.cell, level.feature)]
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())
