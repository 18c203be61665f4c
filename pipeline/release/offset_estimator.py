"""How many windows a recording's boxes are late or early, as far as its events tell.

Events are denser in the box of a moving object than around it. Boxes of a window are laid over the
events of each window around it: where they fit best, there they belong. Windows speak in blocks of
half a second, whose drawing with replacement says how sure the answer is.

It cannot say where objects and camera stand still, where objects are no busier than their surround,
or where a recording has few boxes.
"""

from collections import deque

import numpy as np

from pipeline.release.box_kernels import mean_contrast
from pipeline.release.label_checks import EventCells
from pipeline.release.label_offset import FARTHEST, LabelOffset

LEAST_BOXES = 100  # fewer say nothing
_LEAST_BLOCKS = 3
_MARGIN = 0.5  # of a box, at each side: its surround
_BLOCK = 10  # windows; what neighbours say is nearly the same
_DRAWS = 1000
_SURE = 95  # percent of the draws lie within the bounds


class OffsetEstimator:
    """Gathers what a recording's windows say, shown every window in order."""

    def __init__(self, sensor: tuple[int, int]) -> None:
        self._sensor = sensor
        cells = EventCells(sensor)
        self._bits = cells.bits
        rows, columns = cells.sums.shape
        self._sums = np.zeros((2 * FARTHEST + 1, rows, columns), np.int32)
        self._boxes = deque[tuple[np.ndarray, np.ndarray]](maxlen=len(self._sums))
        self._slot = 0  # of the next window's sums
        self._scores: list[np.ndarray] = []
        self._weights: list[int] = []

    def interrupt(self) -> None:
        """The next window does not follow, or this one has no events to look at."""
        self._boxes.clear()

    def add(self, cells: EventCells, corners: np.ndarray, usable: np.ndarray) -> None:
        """Take in the next window.

        Args:
            cells: Where its events lie.
            corners: float64 ``[M, 4]``, its boxes, x1, y1, x2, y2 in pixels.
            usable: bool ``[M]``, those that can be judged.
        """
        span = len(self._sums)
        self._sums[self._slot] = cells.sums
        self._slot = oldest = (self._slot + 1) % span
        self._boxes.append((corners, usable))
        if len(self._boxes) < span or not self._boxes[FARTHEST][1].any():
            return
        score, boxes = mean_contrast(
            *self._boxes[FARTHEST], self._sums, self._sensor, self._bits, _MARGIN
        )
        if boxes:
            self._scores.append(np.roll(score, -oldest))  # the oldest window's events first
            self._weights.append(boxes)

    def estimate(self) -> LabelOffset:
        """What all windows say together."""
        boxes = sum(self._weights)
        unknown = LabelOffset(None, -FARTHEST, FARTHEST, boxes)
        blocks = len(self._scores) // _BLOCK
        if boxes < LEAST_BOXES or blocks < _LEAST_BLOCKS:
            return unknown
        scores = np.stack(self._scores) * np.array(self._weights)[:, None]
        parts = np.stack([part.sum(axis=0) for part in np.array_split(scores, blocks)])
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(blocks, np.full(blocks, 1 / blocks), _DRAWS) @ parts
        lates = FARTHEST - drawn.argmax(axis=1)
        low, high = np.percentile(
            lates, ((100 - _SURE) / 2, (100 + _SURE) / 2), method="nearest"
        ).tolist()
        best = FARTHEST - int(parts.sum(axis=0).argmax())
        is_told = high - low <= 1 and abs(low) < FARTHEST and abs(high) < FARTHEST
        return LabelOffset(best if is_told else None, int(low), int(high), boxes)
