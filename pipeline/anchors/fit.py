"""How well anchors fit boxes: which boxes no anchor is trained towards."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.anchors.settings import AnchorSettings
from pipeline.anchors.shapes import anchor_shapes, cells_of_level

#: Least overlap of a positive anchor in every recipe (``loss.positive_iou``).
POSITIVE_IOU = 0.5
_ROWS = 1 << 10  # boxes at a time: what is computed of them fits a core's cache


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
    positive_iou: float = POSITIVE_IOU,
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
    best = np.zeros(len(boxes))
    levels = [(level, anchor_shapes(settings, level)) for level in settings.levels]
    for start in range(0, len(boxes), _ROWS):
        x1, y1, x2, y2 = boxes[start : start + _ROWS].T[:, :, None]  # [n, 1] each
        area = (x2 - x1) * (y2 - y1)
        for level, shapes in levels:
            shared = _shared(x1, x2, shapes[:, 0], grid_size[1], level)
            shared *= _shared(y1, y2, shapes[:, 1], grid_size[0], level)  # [n, R * S]
            union = area + shapes.prod(axis=1) - shared
            rows = best[start : start + _ROWS]
            np.maximum(rows, (shared / union).max(axis=1), out=rows)
    return best


def _shared(
    low: np.ndarray, high: np.ndarray, sides: np.ndarray, frame: int, level: int
) -> np.ndarray:
    """How much of one axis boxes ``[n, 1]`` share with the nearest anchors ``[K]``: ``[n, K]``."""
    stride, last = 2**level, cells_of_level(frame, level) - 1
    length, centre = high - low, (low + high) / 2
    nearest = (np.clip(np.floor(centre / stride), 0, last) + 0.5) * stride
    reach = (length + sides) / 2 - np.abs(centre - nearest)
    np.minimum(reach, np.minimum(length, sides), out=reach)
    return np.maximum(reach, 0, out=reach)
