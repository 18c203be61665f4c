"""The first half of a step: forward and loss."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dmanet.data.augmentation import augment
from dmanet.data.batches import PackedBatch
from dmanet.data.unpacking import decode_batch
from dmanet.detection.losses import detection_loss
from dmanet.device import autocast
from dmanet.models.detector import DMANet, LevelState, State
from dmanet.ranks import Ranks
from dmanet.recipes import RunSettings
from dmanet.regions import region


@dataclass(frozen=True)
class Losses:
    """A rank's part of the losses of a step; the ranks' parts add up.

    Attributes:
        total: the terms' sum, to be minimised.
        terms: by name, without a gradient.
    """

    total: Tensor
    terms: dict[str, Tensor]


def forward_and_loss(
    model: DMANet,
    batch: PackedBatch,
    state: State | None,
    anchors: Tensor,
    settings: RunSettings,
    precision: str,
    ranks: Ranks,
) -> tuple[Losses, State]:
    """Run the network on a batch and compare it with the batch's boxes.

    Args:
        model: in training mode.
        batch: on the CPU.
        state: carried from the batch before; None for none.
        anchors: ``[A, 4]``, on the network's device.
        settings: of the run.
        precision: of convolutions and matrix products.
        ranks: the processes that make this step together.

    Returns:
        This rank's losses, and the state to carry on, cut from the graph.
    """
    device = anchors.device
    # Slots that do not continue are reset in their first step; so the state of a batch in which
    # none does is not needed at all.
    if not bool(batch.continues.any()):
        state = None
    with region("to device"):
        batch = batch.to(device)
    with region("decode and augment"):
        positive, negative, targets = augment(
            *decode_batch(batch),
            batch.targets,
            batch,
            settings.augmentation,
            settings.model.grid_size,
        )
    with autocast(device, precision):
        output, carried = model(
            positive, negative, batch.steps, batch.sequences, state, batch.reset
        )
    with region("loss"):
        frames_total: Tensor | None = None
        if ranks.world_size > 1:
            # Each rank's part of the mean over the frames of all, to be summed. Not a mean of means:
            # where streams have ended, ranks count unequally many frames.
            frames_total = ranks.all_reduce(batch.counted.sum()).clamp(min=1)
        terms = detection_loss(
            output.logits,
            output.deltas,
            anchors,
            targets,
            settings.loss,
            batch.counted,
            frames_total,
        )
        # The published loss is a sum over the steps of each step's mean over the images.
        terms = {name: batch.steps * term for name, term in terms.items()}
        total = torch.stack(list(terms.values())).sum()
    losses = Losses(total, {name: term.detach() for name, term in terms.items()})
    return losses, tuple(map(_cut, carried))


def _cut(level: LevelState) -> LevelState:
    """A state cut from the graph, and from the batch whose last frames it would keep in memory."""
    cut = level.detach()
    return LevelState(cut.hidden.clone(), cut.cell.clone(), cut.feature.clone())
