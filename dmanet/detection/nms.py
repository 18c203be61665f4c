"""Exact greedy non-maximum suppression, for many groups of boxes in one call."""

import numpy as np
from numba import njit


def grouped_nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    iou_threshold: float,
    max_per_group: int | None = None,
) -> np.ndarray:
    """Which boxes survive when of those that overlap much the best is kept.

    Boxes suppress each other only inside a group (one class of one image). In a group the
    best box is kept and removes every box that overlaps it by more than ``iou_threshold``, and so
    on; equal scores go by index. Areas are width times height as they stand, in float32, so a box
    without area suppresses nothing: torchvision's semantics.

    Args:
        boxes: float32 ``[N, 4]``, x1, y1, x2, y2.
        scores: float32 ``[N]``.
        groups: integers ``[N]``.
        iou_threshold: overlap above which a box is removed.
        max_per_group: a group ends with its first so many survivors, which is exact and keeps the
            work bounded where nearly every anchor passes the score threshold; None for all.

    Returns:
        int64 ``[K]``, rows of the survivors, by group, then by descending score.
    """
    order = np.lexsort((-scores, groups))  # stable
    ends = np.append(np.flatnonzero(np.diff(groups[order])) + 1, len(order))
    kept = _greedy(
        np.ascontiguousarray(boxes, np.float32)[order],
        ends if len(order) else ends[:0],
        iou_threshold,
        len(order) if max_per_group is None else max_per_group,
    )
    return order[kept]


@njit(cache=True, nogil=True)
def _greedy(boxes: np.ndarray, ends: np.ndarray, iou_threshold: float, limit: int) -> np.ndarray:
    kept = np.empty(len(boxes), np.int64)
    total = 0
    start = 0
    for end in ends:
        first = total  # kept[first:total] are this group's survivors
        for i in range(start, end):
            if total - first >= limit:
                break
            x1, y1, x2, y2 = boxes[i]
            area = (x2 - x1) * (y2 - y1)
            suppressed = False
            for k in range(first, total):
                other = boxes[kept[k]]
                width = min(x2, other[2]) - max(x1, other[0])
                height = min(y2, other[3]) - max(y1, other[1])
                if width <= 0 or height <= 0:
                    continue
                overlap = width * height
                other_area = (other[2] - other[0]) * (other[3] - other[1])
                if overlap / (other_area + area - overlap) > iou_threshold:
                    suppressed = True
                    break
            if not suppressed:
                kept[total] = i
                total += 1
        start = end
    return kept[:total]
