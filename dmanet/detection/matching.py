"""Which anchor is trained towards which box, and which boxes no anchor is trained towards."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.anchors import anchor_shapes, cells_of_level
from dmanet.detection.boxes import box_iou

BACKGROUND = -1
IGNORED = -2


def match_anchors(
    anchors: Tensor,
    boxes: Tensor,
    frame: Tensor,
    frames: int,
    positive_iou: float = 0.5,
    negative_iou: float = 0.4,
    match_low_quality: bool = False,
) -> Tensor:
    """Match each anchor in each of F frames with at most one box of the frame.

    With ``match_low_quality`` the anchors that overlap a box more than all other anchors do are
    positive too, however small that overlap is, so a thin box that no anchor covers is still
    trained; each such anchor keeps the box that it overlaps most. The release does not do this and
    trains such boxes as background.

    All frames go together, a box of each at a time: that many overlaps are formed and no more
    (those of all boxes with all anchors would be gigabytes), and the host waits for the device once.

    Args:
        anchors: ``[A, 4]`` float32, x1, y1, x2, y2 in grid units.
        boxes: ``[N, 4]`` float32, those of all frames, in any order.
        frame: int64 ``[N]``, whose each box is.
        frames: F.
        positive_iou: least overlap of a positive anchor.
        negative_iou: anchors that overlap less are background.
        match_low_quality: whether each box also takes the anchors that overlap it most.

    Returns:
        int64 ``[F, A]``: the index of the box that the anchor overlaps most where that overlap is at
        least ``positive_iou`` (the first such box in a tie), ``BACKGROUND`` where it is below
        ``negative_iou``, ``IGNORED`` in between.
    """
    order, rounds = _rounds(frame, frames)
    sides = [boxes[rows] for rows in rounds]  # [f, 4] each
    # Temporaries that fit a core's cache; on a GPU few and large ones.
    pairs = 2**18 if anchors.device.type == "cpu" else 2**24
    tiles = anchors.split(max(1, pairs // max(1, frames)))
    largest: list[Tensor | None] = [None] * len(rounds)
    if match_low_quality:
        largest = [_largest_overlap(some, tiles) for some in sides]
    match = []
    for tile in tiles:
        best_iou = tile.new_zeros((frames, len(tile)))
        best_box = torch.zeros_like(best_iou, dtype=torch.int64)
        forced = torch.zeros_like(best_iou, dtype=torch.bool)
        for rows, some, most in zip(rounds, sides, largest, strict=True):
            overlap = box_iou(some, tile)  # [f, a]
            iou, box = best_iou[: len(rows)], best_box[: len(rows)]  # written in place
            if most is not None:
                forced[: len(rows)] |= overlap == most
            box.copy_(torch.where(overlap > iou, rows[:, None], box))
            torch.maximum(iou, overlap, out=iou)
        rest = torch.where(best_iou < negative_iou, BACKGROUND, IGNORED)
        match.append(torch.where((best_iou >= positive_iou) | forced, best_box, rest))
    return torch.cat(match, dim=1)[order]


def _rounds(frame: Tensor, frames: int) -> tuple[Tensor, list[Tensor]]:
    """The rows of the first boxes of all frames that have one, of the second boxes, and so on.

    Frames come from the one with most boxes to the one with fewest, so those of a round are the
    first of the round before. Also the place of each frame in that order ``[F]``.
    """
    every = torch.arange(frames, device=frame.device)
    counts = (frame == every[:, None]).sum(dim=1)  # [F]
    first = counts.cumsum(0) - counts
    rows = torch.argsort(frame, stable=True)  # [N], by frame
    fullest = torch.argsort(counts, descending=True, stable=True)
    sizes = counts[fullest].tolist()
    with_more = [sum(size > k for size in sizes) for k in range(max(sizes, default=0))]
    begins = first[fullest]
    return torch.argsort(fullest), [rows[begins[:f] + k] for k, f in enumerate(with_more)]


def _largest_overlap(boxes: Tensor, tiles: Sequence[Tensor]) -> Tensor:
    """Largest overlap of each box with any anchor ``[f, 1]``; 2, which none reaches, without any."""
    largest = torch.stack([box_iou(boxes, tile).amax(dim=1) for tile in tiles]).amax(dim=0)
    return torch.where(largest > 0, largest, 2.0)[:, None]


@dataclass(frozen=True)
class AnchorFit:
    """How well the anchors cover the boxes of one class and size.

    Attributes:
        class_index: the class.
        size: half-open interval of box sizes, √(width · height) in grid units.
        boxes: how many there are.
        unmatched: how many have no anchor at the positive threshold: the release trains them as
            background.
        mean_best_iou: mean over the boxes of the largest overlap with any anchor.
    """

    class_index: int
    size: tuple[float, float]
    boxes: int
    unmatched: int
    mean_best_iou: float

    @property
    def unmatched_share(self) -> float:
        """Share of these boxes that have no positive anchor."""
        return self.unmatched / self.boxes


def unmatched_share(
    boxes: np.ndarray,
    classes: np.ndarray,
    grid_size: tuple[int, int],
    settings: AnchorSettings,
    positive_iou: float = 0.5,
    size_edges: tuple[float, ...] = (0, 16, 32, 64, 128, math.inf),
) -> list[AnchorFit]:
    """Boxes without a positive anchor, per class and size.

    Args:
        boxes: ``[N, 4]``, x1, y1, x2, y2 in grid units.
        classes: integers ``[N]``.
        grid_size: height and width in cells.
        settings: of the anchors.
        positive_iou: least overlap of a positive anchor.
        size_edges: ascending, between which sizes are counted together.

    Returns:
        One row for each pair of class and size that occurs, by class, then size.
    """
    best = best_anchor_iou(boxes, grid_size, settings)  # [N]
    size = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))  # [N]
    bins = np.digitize(size, size_edges) - 1  # [N]
    rows = []
    for class_index in np.unique(classes):
        for bin_index in np.unique(bins[classes == class_index]):
            iou = best[(classes == class_index) & (bins == bin_index)]
            rows.append(
                AnchorFit(
                    class_index=int(class_index),
                    size=(size_edges[bin_index], size_edges[bin_index + 1]),
                    boxes=len(iou),
                    unmatched=int(np.count_nonzero(iou < positive_iou)),
                    mean_best_iou=float(iou.mean()),
                )
            )
    return rows


def best_anchor_iou(
    boxes: np.ndarray, grid_size: tuple[int, int], settings: AnchorSettings
) -> np.ndarray:
    """Largest overlap of each box with any anchor of the frame.

    Overlap along an axis only shrinks with the distance of the centres, so of all anchors of one
    shape and level the one nearest to the box overlaps it most: 75 candidates, not 81 840.

    Args:
        boxes: ``[N, 4]``, x1, y1, x2, y2 in grid units.
        grid_size: height and width in cells.
        settings: of the anchors.

    Returns:
        float64 ``[N]``.
    """
    boxes = np.asarray(boxes, np.float64)
    size = boxes[:, 2:] - boxes[:, :2]  # [N, 2]: width, height
    centre = boxes[:, :2] + size / 2
    frame = (grid_size[1], grid_size[0])
    best = np.zeros(len(boxes))
    for level in settings.levels:
        stride = 2**level
        last = np.array([cells_of_level(side, level) - 1 for side in frame])
        nearest = (np.clip(np.floor(centre / stride), 0, last) + 0.5) * stride
        distance = np.abs(centre - nearest)[:, None]  # [N, 1, 2]
        shapes = anchor_shapes(settings, level)  # [R * S, 2]
        reach = (size[:, None] + shapes) / 2 - distance  # [N, R * S, 2]
        shared = np.minimum(np.minimum(size[:, None], shapes), reach).clip(0)
        overlap = shared.prod(axis=2)  # [N, R * S]
        union = size.prod(axis=1)[:, None] + shapes.prod(axis=1) - overlap
        best = np.maximum(best, (overlap / union).max(axis=1))
    return best
