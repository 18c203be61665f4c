"""Intersection over union as each family of protocols computes it, for pairs of boxes side by side."""

import numpy as np


def corner_overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The release's: corners x1, y1, x2, y2, in the boxes' own dtype.

    In float32 it is :func:`dmanet.detection.boxes.box_iou` to the bit, without torch.

    Args:
        first: ``[..., 4]``.
        second: ``[..., 4]``, broadcast against ``first``.

    Returns:
        ``[...]``, 0…1; 0 where the union is empty.
    """
    width = np.minimum(first[..., 2], second[..., 2]) - np.maximum(first[..., 0], second[..., 0])
    height = np.minimum(first[..., 3], second[..., 3]) - np.maximum(first[..., 1], second[..., 1])
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    union = _corner_area(first) + _corner_area(second) - intersection
    return intersection / np.maximum(union, union.dtype.type(1e-8))


def side_overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """COCO's: x, y, width, height in float64, in the order of operations of pycocotools.

    Args:
        first: float64 ``[..., 4]``.
        second: float64 ``[..., 4]``, broadcast against ``first``.

    Returns:
        float64 ``[...]``; 0 where the boxes do not meet.
    """
    right = np.minimum(first[..., 2] + first[..., 0], second[..., 2] + second[..., 0])
    bottom = np.minimum(first[..., 3] + first[..., 1], second[..., 3] + second[..., 1])
    width = right - np.maximum(first[..., 0], second[..., 0])
    height = bottom - np.maximum(first[..., 1], second[..., 1])
    meet = (width > 0) & (height > 0)
    intersection = np.where(meet, width * height, 0.0)
    area_first, area_second = (box[..., 2] * box[..., 3] for box in (first, second))
    union = np.where(meet, area_first + area_second - intersection, 1.0)
    return intersection / union


def _corner_area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
