"""Boxes of a window as arrays: what a network found, and what is true; without torch."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Labels:
    """Ground truth of one window.

    Attributes:
        boxes: float32 ``[M, 4]``, x1, y1, x2, y2 in grid units.
        classes: int64 ``[M]``.
    """

    boxes: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class Detections:
    """What the network found in one window, class by class and by descending score.

    Attributes:
        boxes: float32 ``[n, 4]``, x1, y1, x2, y2 in grid units.
        scores: float32 ``[n]``, 0…1.
        classes: int64 ``[n]``, the network's outputs.
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


def in_sensor_pixels(
    boxes: np.ndarray, grid_size: tuple[int, int], sensor_size: tuple[int, int]
) -> np.ndarray:
    """Boxes ``[n, 4]`` (x1, y1, x2, y2) from grid units to sensor pixels, float64.

    Args:
        boxes: in grid units.
        grid_size: height and width in cells.
        sensor_size: width and height in pixels.
    """
    grid_height, grid_width = grid_size
    scale = np.array([sensor_size[0] / grid_width, sensor_size[1] / grid_height] * 2)
    return boxes.astype(np.float64) * scale
