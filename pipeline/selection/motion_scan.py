"""What a scan finds of the motion of one recording's boxes."""

import numpy as np

from pipeline.release.label_checks import EventCells
from pipeline.release.motion import box_motion, counted_kinds, event_densities
from pipeline.release.shards import WINDOW_US


class MotionScan:
    """Gathers it, shown every window in order.

    Args:
        sensor: Width and height in pixels.
        classes: How many the data set has; boxes of others are not counted.
    """

    def __init__(self, sensor: tuple[int, int], classes: int) -> None:
        self._sensor = sensor
        self._classes = classes
        self._times = [np.zeros(0, np.int64)]
        self._tracks = [np.zeros(0, np.int64)]
        self._corners = [np.zeros((0, 4))]
        self._densities = [np.zeros(0)]

    def add(self, labels: np.ndarray, cells: EventCells | None, begin: int) -> None:
        """Take in a window's boxes.

        Args:
            labels: ``LABEL_DTYPE [M]``.
            cells: Where its events lie; ``None`` where these are not known.
            begin: Of the window in µs, for boxes without a time.
        """
        own = labels[labels["class_id"] < self._classes]
        if not len(own):
            return
        times = np.minimum(own["t"], np.uint64(1 << 62)).astype(np.int64)
        x, y, w, h = (own[name].astype(np.float64) for name in "xywh")
        corners = np.stack([x, y, x + w, y + h], axis=1)
        self._times.append(np.where(times > 0, times, begin + WINDOW_US // 2))
        self._tracks.append(own["track_id"].astype(np.int64))
        self._corners.append(corners)
        if cells is None:
            self._densities.append(np.full(len(own), np.nan))
        else:
            cell = 2.0**cells.bits
            self._densities.append(event_densities(cells.sums, (cell, cell), self._sensor, corners))

    def counts(self) -> dict[str, int]:
        """How many boxes move in which way, by the names of the kinds."""
        return counted_kinds(
            box_motion(
                np.concatenate(self._times),
                np.concatenate(self._tracks),
                np.concatenate(self._corners),
                np.concatenate(self._densities),
            )
        )
