"""What a scan finds of the motion of one recording's boxes."""

import numpy as np

from pipeline.release.label_checks import EventCells
from pipeline.release.motion import box_motion, counted_kinds, event_densities
from pipeline.release.shards import LABEL_DTYPE, WINDOW_US


class MotionScan:
    """Gathers it, shown every window in order.

    Args:
        classes: How many the data set has; boxes of others are not counted.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._labels = [np.zeros(0, LABEL_DTYPE)]
        self._middles: list[int] = []  # of each window that has boxes, µs
        self._densities = [np.zeros(0)]

    def add(self, labels: np.ndarray, cells: EventCells | None, begin: int) -> None:
        """Take in a window's boxes.

        Args:
            labels: ``LABEL_DTYPE [M]``.
            cells: Where its events lie; ``None`` where these are not known.
            begin: Of the window in µs, for boxes without a time.
        """
        if not len(labels):
            return
        self._labels.append(labels)
        self._middles.append(begin + WINDOW_US // 2)
        if cells is None:
            self._densities.append(np.full(len(labels), np.nan))
        else:
            cell = 2.0**cells.bits
            self._densities.append(event_densities(cells.sums, (cell, cell), _corners(labels)))

    def counts(self) -> dict[str, int]:
        """How many boxes move in which way, by the names of the kinds."""
        labels = np.concatenate(self._labels)
        middles = np.repeat(
            np.array(self._middles, np.int64), [len(window) for window in self._labels[1:]]
        )
        times = np.minimum(labels["t"], np.uint64(1 << 62)).astype(np.int64)
        times = np.where(times > 0, times, middles)
        known = labels["class_id"] < self._classes
        own = labels[known]
        densities = np.concatenate(self._densities)[known]
        return counted_kinds(
            box_motion(times[known], own["track_id"].astype(np.int64), _corners(own), densities)
        )


def _corners(labels: np.ndarray) -> np.ndarray:
    """x1, y1, x2, y2 in pixels, float64 ``[M, 4]``."""
    x, y, w, h = (labels[name].astype(np.float64) for name in "xywh")
    return np.stack([x, y, x + w, y + h], axis=1)
