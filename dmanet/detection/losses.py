"""The detector's two losses: focal classification and box regression."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dmanet.detection.boxes import encode_boxes
from dmanet.detection.loss_settings import LossSettings
from dmanet.detection.matching import IGNORED, match_anchors


@dataclass(frozen=True)
class Targets:
    """The boxes of all frames of a batch, as one ragged list.

    Frames without boxes and ``N = 0`` are fine, and there is no limit on the boxes of a frame.

    Attributes:
        boxes: float32 ``[N, 4]``, x1, y1, x2, y2 in grid units.
        classes: int64 ``[N]``.
        frame: int64 ``[N]``, the frame each box belongs to, in any order.
    """

    boxes: Tensor
    classes: Tensor
    frame: Tensor


def detection_loss(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    targets: Targets,
    settings: LossSettings | None = None,
    counted: Tensor | None = None,
    frames_total: Tensor | float | None = None,
) -> dict[str, Tensor]:
    """Mean loss of a frame.

    *Classification*: sigmoid focal loss summed over classes and all anchors that are not ignored,
    divided by the number of positive anchors of the frame (at least 1). *Regression*: smooth L1
    between the deltas and the encoded boxes, mean over the frame's positive anchors and the four
    coordinates, 0 without positives. Both are then averaged over the counted frames.

    The release averages over the images of one time step and sums over the steps. With
    ``F = T * B`` frames that sum is ``T`` times what is returned here.

    Args:
        logits: ``[F, A, C]`` in any float dtype, before the sigmoid.
        deltas: ``[F, A, 4]`` in any float dtype.
        anchors: ``[A, 4]`` float32.
        targets: the boxes of the F frames.
        settings: of matching and loss; None for the release's.
        counted: bool ``[F]``, the frames to average over: the others have no loss and no gradient,
            and where none is counted the loss is 0. None for all.
        frames_total: what is divided by instead of the number of counted frames: with several
            processes, whose gradients are added up, that of all of them.

    Returns:
        ``classification`` and ``regression``, float32 scalars.
    """
    settings = settings or LossSettings()
    match = match_anchors(
        anchors,
        targets.boxes,
        targets.frame,
        len(logits),
        settings.positive_iou,
        settings.negative_iou,
        settings.match_low_quality,
    )  # [F, A]
    frame, anchor = torch.nonzero(match >= 0, as_tuple=True)  # [P] each
    box = match[frame, anchor]
    positives = (match >= 0).sum(dim=1).clamp(min=1)  # [F]

    focal = _FocalLoss.apply(
        logits,
        match == IGNORED,
        (frame, anchor, targets.classes[box]),
        settings.focal_alpha,
        settings.focal_gamma,
    )  # [F]
    error = functional.smooth_l1_loss(
        deltas[frame, anchor].float(),
        encode_boxes(targets.boxes[box], anchors[anchor]),
        beta=settings.smooth_l1_beta,
        reduction="none",
    ).mean(dim=1)  # [P]
    classification, regression = focal / positives, error / positives[frame]  # [F], [P]
    if counted is not None:
        classification = torch.where(counted, classification, 0.0)
        regression = torch.where(counted[frame], regression, 0.0)
    if frames_total is None:
        frames_total = len(logits) if counted is None else counted.sum().clamp(min=1)
    return {
        "classification": classification.sum() / frames_total,
        "regression": regression.sum() / frames_total,
    }


class _FocalLoss(torch.autograd.Function):
    """Sigmoid focal loss summed over each frame, from logits.

    Keeps its gradient instead of its five intermediate tensors: a fifth of the memory and a quarter
    of the time.

    One element is ``w · σ(z)**γ · softplus(z)``, where ``z`` is the logit of a wrong decision (the
    logit itself for background, its negative for the target class) and ``w`` is ``1 − α`` or ``α``.
    That is finite for every finite logit, and its gradient never dies on the wrong side, where the
    release's clamped probabilities have none beyond ``|logit| = 9.2``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,  # [F, A, C]
        ignored: Tensor,  # [F, A] bool
        positive: tuple[Tensor, Tensor, Tensor],  # frame, anchor, class: [P] each, by frame
        alpha: float,
        gamma: float,
    ) -> Tensor:  # [F]
        frames, anchors, classes = logits.shape
        loss = logits.new_zeros(frames, dtype=torch.float32)
        # float16 would flush the many small background gradients to zero before any loss scaling.
        kept_dtype = torch.bfloat16 if logits.dtype == torch.bfloat16 else torch.float32
        gradient = torch.empty_like(logits, dtype=kept_dtype)
        # Temporaries that fit a CPU's cache; on a GPU few and large ones.
        elements = 2**20 if logits.device.type == "cpu" else 2**24
        step = max(1, elements // max(1, anchors * classes))
        starts = range(0, frames, step)
        sizes = [len(positive[0])]
        if len(starts) > 1:
            sizes = torch.bincount(positive[0] // step, minlength=len(starts)).tolist()
        for start, *index in zip(starts, *(part.split(sizes) for part in positive), strict=True):
            chunk = slice(start, start + step)
            z = logits[chunk].float()  # [f, A, C]
            at = (index[0] - start, index[1], index[2])
            sign, weight = torch.ones_like(z), torch.full_like(z, 1 - alpha)
            sign[at], weight[at] = -1.0, alpha
            weight.masked_fill_(ignored[chunk, :, None], 0.0)
            z = z * sign
            wrong, surprise = torch.sigmoid(z), functional.softplus(z)
            weight *= wrong**gamma
            loss[chunk] = (weight * surprise).sum(dim=(1, 2))
            slope = (1 - wrong).mul_(surprise).mul_(gamma).add_(wrong)
            gradient[chunk] = slope.mul_(weight).mul_(sign)
        ctx.save_for_backward(gradient)
        ctx.logits_dtype = logits.dtype
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        scaled = gradient * grad_loss[:, None, None].to(gradient.dtype)
        return scaled.to(ctx.logits_dtype), None, None, None, None
