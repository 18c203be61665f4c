"""Which boxes of following windows look like one object, so that it keeps its colour in a video.

For the eye alone: boxes are joined greedily by their overlap, and neither stored nor scored. A detector
does not track.
"""

from dataclasses import dataclass

import numpy as np

from dmanet.evaluation.overlaps import corner_overlaps

_LEAST_IOU = 0.3
_LONGEST_UNSEEN_US = 200_000


@dataclass
class _Track:
    number: int
    class_index: int
    box: np.ndarray
    seen_us: int


class DisplayTracks:
    """Numbers of objects, window after window; a number is given to one object only."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._given = 0

    def follow(self, boxes: np.ndarray, classes: np.ndarray, t_us: int) -> np.ndarray:
        """The number of each box's object, int64 ``[n]``.

        Pairs of a box and an object of its class that was seen at most 0.2 s before are joined from the
        largest overlap down, as far as it is 0.3 or more (intersection over union); each other box is a
        new object.

        Args:
            boxes: ``[n, 4]``, x1, y1, x2, y2 in any unit, the same in all windows.
            classes: int64 ``[n]``.
            t_us: time of the window in µs, later than that of the one before.
        """
        self._tracks = [one for one in self._tracks if t_us - one.seen_us <= _LONGEST_UNSEEN_US]
        numbers = np.full(len(boxes), -1, np.int64)
        others = np.array([one.box for one in self._tracks], np.float64).reshape(-1, 4)
        overlaps = corner_overlaps(boxes.astype(np.float64)[:, None], others[None])  # [n, m]
        own = np.array([one.class_index for one in self._tracks], np.int64)
        overlaps[classes[:, None] != own[None, :]] = 0
        taken: set[int] = set()
        for place in np.argsort(-overlaps, axis=None, kind="stable").tolist():
            box, track = divmod(place, len(self._tracks))
            if overlaps[box, track] < _LEAST_IOU:
                break
            if numbers[box] < 0 and track not in taken:
                taken.add(track)
                one = self._tracks[track]
                numbers[box], one.box, one.seen_us = one.number, boxes[box], t_us
        for box in np.flatnonzero(numbers < 0).tolist():
            numbers[box] = self._given
            self._tracks.append(_Track(self._given, int(classes[box]), boxes[box], t_us))
            self._given += 1
        return numbers
