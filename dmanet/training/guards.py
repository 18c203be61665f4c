"""What happens to a training step whose loss or gradient is not a number.

Such a step is *bad*: nothing of it stays in weights, optimiser, averages or running statistics. It
is counted and described, and many of them in a row stop the run. With float16, gradients that
overflow because of the loss scale are no fault of the network: such a step is an *overflow*, skipped
as well, and counted apart.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from dmanet.models.detector import State
from dmanet.runs.outcomes import Outcome
from pipeline.errors import PipelineError

LEAST_LOSS_SCALE = 1.0  # at this scale an overflow is the network's own


class DivergedError(PipelineError):
    """Too many bad steps in a row: training cannot go on by itself."""


def judge(loss: float, gradient_norm: float, loss_scale: float | None) -> Outcome:
    """What becomes of a step with these values.

    Args:
        loss: of all ranks.
        gradient_norm: of their joined gradients, unscaled.
        loss_scale: what float16's loss was multiplied by; None in other precisions.
    """
    if not math.isfinite(loss):
        return "bad loss"
    if math.isfinite(gradient_norm):
        return "made"
    if loss_scale is not None and loss_scale > LEAST_LOSS_SCALE:
        return "overflow"
    return "bad gradient"


@dataclass(frozen=True)
class Verdict:
    """What becomes of a step, and the numbers of all ranks that decide it.

    Attributes:
        outcome: the same on all ranks, as the numbers are.
        loss: the terms' sum.
        terms: of the loss.
        gradient_norm: before clipping.
        clipped: whether the step is made with a gradient that is cut.
        loss_scale: what float16's loss was multiplied by; None in other precisions.
    """

    outcome: Outcome
    loss: float
    terms: dict[str, float]
    gradient_norm: float
    clipped: bool
    loss_scale: float | None


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
