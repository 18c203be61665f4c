"""What the release computes where ours differs for the sake of stability, to be put into our network.

The similarity ``e / (|e| + 1e-6)`` in the dtype of the features, a state kept in that dtype and
weighted without a gate between, and the focal loss of clamped probabilities. Each can be put in
alone. ``tests/benchmarks`` holds them to the reference arrays.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dmanet.detection.boxes import box_iou
from dmanet.detection.losses import LossSettings, Targets
from dmanet.detection.matching import BACKGROUND, IGNORED
from dmanet.models.adaptive_conv_lstm import ConvLSTM

NORM_OFFSET = 1e-6  # the release adds it to an embedding's norm
CLAMP = 1e-4  # the release keeps probabilities this far from 0 and 1
CLAMP_LOGIT = math.log((1 - CLAMP) / CLAMP)  # 9.21: beyond it the clamped loss has no gradient


def released_unit_embedding(embedding: Tensor) -> Tensor:
    """``e / (|e| + 1e-6)`` over the channels of ``[N, C, h, w]``, in the dtype of ``embedding``."""
    return embedding / (embedding.norm(dim=1, keepdim=True) + NORM_OFFSET)


@dataclass(frozen=True)
class MemorySuspects:
    """Which of the release's ways a :class:`SuspectConvLSTM` takes.

    Attributes:
        similarity: unit embeddings by :func:`released_unit_embedding`.
        state: hidden state and cell in the dtype of the features, as operations leave them.
        weighting: gradients pass from the state into the embeddings. Nothing stands between the
            two, no gate and no saturation: the derivative by a weight is the state itself times the
            state's gradient, however large. False cuts that path and leaves every value as it is.
    """

    similarity: bool
    state: bool
    weighting: bool = True


class SuspectConvLSTM(ConvLSTM):
    """Our long memory with chosen parts of the release's; made from ours by :func:`suspect`."""

    suspects: MemorySuspects

    def similarity(self, frames: Tensor, previous: Tensor | None, batch: int) -> Tensor | None:
        """As :meth:`ConvLSTM.similarity`; with the released similarity in the features' dtype."""
        if self.embed is None or not self.suspects.similarity:
            weights = super().similarity(frames, previous, batch)
        else:
            known = frames if previous is None else torch.cat([previous.to(frames.dtype), frames])
            unit = released_unit_embedding(self.embed(known))  # [(T + 1) * B, C, h, w]
            weights = (unit[batch:] * unit[:-batch]).sum(dim=1, keepdim=True)
        return weights if weights is None or self.suspects.weighting else weights.detach()

    def forward(
        self,
        frames: Tensor,
        steps: int,
        state: tuple[Tensor, Tensor, Tensor] | None,
        reset: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As :meth:`ConvLSTM.forward`; with the released state step by step, in its own dtype.

        Raises:
            ValueError: the released state is to be reset; the release never does.
        """
        if not self.suspects.state:
            return super().forward(frames, steps, state, reset)
        if reset is not None:
            raise ValueError("the released state is never reset")
        batch = len(frames) // steps
        similarity = self.similarity(frames, state[2] if state else None, batch)
        weights = list(similarity.split(batch)) if similarity is not None else []
        hidden, cell = state[:2] if state else (None, None)
        outputs = []
        for x in frames.split(batch):
            if hidden is None or cell is None:
                hidden, cell = x, torch.zeros_like(x)
            elif weights:
                weight = weights.pop(0).to(x.dtype)
                hidden, cell = hidden * weight, cell * weight
            i, f, o, g = self.gates(torch.cat([x, hidden], dim=1)).chunk(4, dim=1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            outputs.append(hidden)
        assert hidden is not None
        assert cell is not None
        return torch.cat(outputs), hidden, cell


def suspect(memory: ConvLSTM, suspects: MemorySuspects) -> SuspectConvLSTM:
    """A memory with the weights of ``memory`` that takes the release's ways in ``suspects``."""
    other = SuspectConvLSTM(memory.channels, memory.embed is not None, memory.similarity_eps)
    other.load_state_dict(memory.state_dict())
    other.suspects = suspects
    return other


def released_matches(
    anchors: Tensor, targets: Targets, frames: int, settings: LossSettings
) -> Tensor:
    """Row of the targets each anchor ``[A, 4]`` is trained with: int64 ``[frames, A]``.

    ``BACKGROUND`` and ``IGNORED`` where there is none. Box by box over all anchors, nothing more.
    """
    match = torch.full((frames, len(anchors)), BACKGROUND, device=anchors.device)
    for frame in range(frames):
        rows = (targets.frame == frame).nonzero()[:, 0]
        if len(rows):
            overlap, box = box_iou(anchors, targets.boxes[rows]).max(dim=1)
            match[frame][overlap >= settings.negative_iou] = IGNORED
            positive = overlap >= settings.positive_iou
            match[frame][positive] = rows[box[positive]]
    return match


def clamped_focal_loss(
    logits: Tensor, match: Tensor, classes: Tensor, settings: LossSettings
) -> Tensor:
    """The release's classification loss, mean over frames: probabilities clamped to 1e-4 … 1 − 1e-4.

    ``logits`` ``[F, A, C]``, ``match`` ``[F, A]`` of :func:`released_matches`, ``classes`` ``[N]``.
    """
    probability = logits.float().sigmoid().clamp(CLAMP, 1 - CLAMP)
    hit = probability.new_zeros(probability.shape, dtype=torch.bool)  # [F, A, C]
    frame, anchor = (match >= 0).nonzero(as_tuple=True)
    hit[frame, anchor, classes[match[frame, anchor]]] = True
    right = torch.where(hit, probability, 1 - probability)
    alpha = torch.where(hit, settings.focal_alpha, 1 - settings.focal_alpha)
    loss = alpha * (1 - right) ** settings.focal_gamma * -right.log()
    total = (loss * (match != IGNORED).unsqueeze(2)).sum(dim=(1, 2))  # [F]
    return (total / (match >= 0).sum(dim=1).clamp(min=1)).mean()
