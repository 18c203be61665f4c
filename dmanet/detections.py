"""From the network's outputs to boxes with a class and a score."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from dmanet.boxes import clip_boxes, decode_boxes
from dmanet.nms import grouped_nms
from pipeline.errors import DataError


@dataclass(frozen=True)
class Labels:
    """Ground truth of one window: ``boxes`` ``[M, 4]``, ``classes`` int64 ``[M]``."""

    boxes: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class Detections:
    """What the network found in one window, class by class and by descending score.

    ``boxes`` float32 ``[n, 4]`` (x1, y1, x2, y2, grid units), ``scores`` float32 ``[n]`` in 0…1,
    ``classes`` int64 ``[n]``.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score_threshold: float) -> "Detections":
        """Those whose score exceeds the threshold."""
        rows = self.scores > score_threshold
        return Detections(self.boxes[rows], self.scores[rows], self.classes[rows])


def decode_detections(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    grid_size: tuple[int, int],
    score_threshold: float,
    nms_iou: float = 0.5,
    max_detections: int | None = None,
) -> list[Detections]:
    """Detections of each of ``F`` frames, on the CPU.

    ``logits`` ``[F, A, C]``, ``deltas`` ``[F, A, 4]``, ``anchors`` ``[A, 4]``; ``grid_size`` is
    (height, width). ``max_detections`` bounds each class of each frame.

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
    frames, _, classes = scores.shape
    frame, anchor, found = torch.nonzero(scores > score_threshold, as_tuple=True)  # [N] each
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
