"""From the network's outputs to boxes with a class and a score."""

from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from dmanet.detection.boxes import clip_boxes, decode_boxes
from dmanet.detection.found import Detections
from dmanet.detection.nms import grouped_nms
from pipeline.errors import DataError

_CANDIDATES_PER_DETECTION = 16


def decode_detections(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    grid_size: tuple[int, int],
    score_threshold: float,
    nms_iou: float = 0.5,
    max_detections: int | None = None,
) -> list[Detections]:
    """Detections of each of F frames, on the CPU.

    Args:
        logits: ``[F, A, C]`` in any float dtype, before the sigmoid.
        deltas: ``[F, A, 4]`` in any float dtype.
        anchors: ``[A, 4]`` float32.
        grid_size: height and width in cells.
        score_threshold: what a score must exceed, 0…1.
        nms_iou: overlap above which the weaker of two boxes of a class is dropped.
        max_detections: at most so many of each class in a frame; None for all.

    Raises:
        DataError: an output is not a number.
    """
    return select_detections(
        torch.sigmoid(logits.float()),
        deltas,
        anchors,
        grid_size,
        score_threshold,
        nms_iou,
        max_detections,
    )


def select_detections(
    scores: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    grid_size: tuple[int, int],
    score_threshold: float,
    nms_iou: float = 0.5,
    max_detections: int | None = None,
) -> list[Detections]:
    """:func:`decode_detections` from scores ``[F, A, C]`` in 0…1.

    A score must exceed the threshold; one anchor may be found as several classes. Boxes are decoded,
    cut to the frame, and suppressed class by class in each frame (the release mixes the images of a
    batch). A box that lies outside the frame is dropped.
    """
    if bool(torch.isnan(scores).any()) or bool(torch.isnan(deltas).any()):
        raise DataError(
            "The network's outputs are not numbers (NaN): its weights or its input are damaged; "
            "use an earlier checkpoint."
        )
    passing = scores > score_threshold  # [F, A, C]
    decode = partial(_suppress, scores, deltas, anchors, grid_size, nms_iou, max_detections)
    if max_detections is None:
        return decode(passing)
    # At a low threshold nearly every anchor passes, while few are needed to fill the limit. Unless
    # a class that was cut short stays under the limit, the strongest give the exact result.
    reach = min(scores.shape[1], _CANDIDATES_PER_DETECTION * max_detections)
    weakest = scores.transpose(1, 2).topk(reach, sorted=False).values.amin(dim=2)  # [F, C]
    strongest = passing & (scores >= weakest[:, None])
    detections = decode(strongest)
    cut = (strongest.sum(dim=1) < passing.sum(dim=1)).cpu().numpy()  # [F, C]
    found = np.zeros_like(cut, np.int64)  # [F, C]
    for frame, window in enumerate(detections):
        np.add.at(found[frame], window.classes, 1)
    if (found[cut] < max_detections).any():
        return decode(passing)
    return detections


def _suppress(
    scores: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    grid_size: tuple[int, int],
    nms_iou: float,
    max_detections: int | None,
    candidates: Tensor,
) -> list[Detections]:
    """Detections of each frame among the ``candidates``, bool ``[F, A, C]``."""
    frames, _, classes = scores.shape
    frame, anchor, found = torch.nonzero(candidates, as_tuple=True)  # [N] each
    boxes = clip_boxes(decode_boxes(deltas[frame, anchor], anchors[anchor]), grid_size)  # [N, 4]
    inside = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    box, score, group = (
        tensor[inside].cpu().numpy()
        for tensor in (boxes, scores[frame, anchor, found], frame * classes + found)
    )
    kept = grouped_nms(box, score, group, nms_iou, max_detections)
    box, score, group = box[kept], score[kept], group[kept]
    starts = np.searchsorted(group, np.arange(frames + 1) * classes)
    return [
        Detections(box[start:end], score[start:end], group[start:end] % classes)
        for start, end in pairwise(starts)
    ]
