"""What only a look at a window's other boxes, its events and earlier windows says of a box.

A box that can be read, with a class and at its window's time, may still be wrong: it stands there
twice, nothing happened in it, or its track cannot have got there. Every box is judged alone by
:mod:`pipeline.release.labels`; what that finds wrong is not judged here again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.defects import BOX_FAULTS, Defect, EventFacts
from pipeline.release.box_kernels import (
    JumpLimits,
    Tracks,
    count_cells,
    find_duplicates,
    find_jumps,
    find_without_events,
    usable_boxes,
)
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.shards import WINDOW_US

_CELL_BITS = 2  # events are counted in cells of 4 × 4 pixels, of larger ones on a very large sensor
_MOST_CELLS = 1 << 17  # 1280 × 720 pixels have 57 600


@dataclass(frozen=True)
class BoxCheckSettings:
    """From where on a box counts as wrong.

    Attributes:
        overlap: Intersection over union with another box of the class: more is the same object twice.
        widths_per_second: Speed of a box's middle: more is a jump. 5 widths of the sensor are 6400 px/s
            at 1280 pixels, a quarter of the frame from one window to the next: a car that passes at
            20 m/s is that fast where it fills the frame in 0.2 s.
        growth: Ratio of a box's side to that of its track's last box, for every 50 ms between the two:
            more is a jump. What doubles in 50 ms is a tenth of a second from the camera. Not judged of
            boxes at the sensor's border, which grow as their object comes in.
        least_side: Shorter sides count as this long, in pixels: the label rules drop them, and a pixel
            more or less is much of them.
        memory_windows: After this many windows a track that comes back may be anywhere.
    """

    overlap: float = 0.9
    widths_per_second: float = 5.0
    growth: float = 2.0
    least_side: float = 20.0
    memory_windows: int = 10


@dataclass(frozen=True)
class BoxFaults:
    """Which of a window's boxes have which fault, bool ``[M]`` for each fault that was looked for.

    Attributes:
        boxes: M.
        found: By fault; :attr:`Defect.BOX_WITHOUT_EVENTS` is not in it where there are no events.
    """

    boxes: int
    found: dict[Defect, np.ndarray]

    def only(self, faults: Iterable[Defect]) -> "BoxFaults":
        """Those among ``faults``."""
        return BoxFaults(self.boxes, {f: self.found[f] for f in faults if f in self.found})

    def counts(self) -> dict[Defect, int]:
        """How many boxes have each fault; only faults that occur are listed."""
        found = {f: int(np.count_nonzero(self.found[f])) for f in BOX_FAULTS if f in self.found}
        return {fault: count for fault, count in found.items() if count}

    @cached_property
    def is_any(self) -> bool:
        """Some box has some fault."""
        return any(np.count_nonzero(mask) for mask in self.found.values())

    def any_of(self, faults: Iterable[Defect]) -> np.ndarray:
        """Boxes with any of the faults, bool ``[M]``."""
        either = np.zeros(self.boxes, bool)
        for fault in faults:
            if fault in self.found:
                either |= self.found[fault]
        return either


class EventCells:
    """How many events lie where: running sums over square cells, filled window by window.

    Attributes:
        sensor: Width and height in pixels.
        bits: A cell has ``2**bits`` pixels a side.
        sums: int32 ``[R+1, C+1]``: the events above row r and left of column c.
    """

    def __init__(self, sensor: tuple[int, int]) -> None:
        self.sensor = sensor
        self.bits = _CELL_BITS
        while (sensor[0] >> self.bits) * (sensor[1] >> self.bits) > _MOST_CELLS:
            self.bits += 1
        columns, rows = (-(-side // (1 << self.bits)) for side in sensor)
        self.sums = np.zeros((rows + 1, columns + 1), np.int32)

    def count(self, events: np.ndarray) -> None:
        """Count a window's events, ``EVENT_DTYPE [N]``, in any order."""
        count_cells(events, self.sensor, self.bits, self.sums)


class LabelChecks:
    """Judges the boxes of one recording, shown every window in order.

    Args:
        sensor: Width and height in pixels.
        known_classes: How many the data set has.
        settings: From where on a box counts as wrong.

    Attributes:
        cells: Where the events lie of the last window that had boxes beside them.
    """

    def __init__(
        self,
        sensor: tuple[int, int],
        known_classes: int = len(CLASS_NAMES),
        settings: BoxCheckSettings | None = None,
    ) -> None:
        settings = settings or BoxCheckSettings()
        self._sensor = sensor
        self._known_classes = known_classes
        self._overlap = settings.overlap
        self._limits = JumpLimits(
            speed=settings.widths_per_second * sensor[0] / 1e6,
            growth=settings.growth,
            least_side=settings.least_side,
            shortest_us=WINDOW_US,
            memory_us=settings.memory_windows * WINDOW_US,
        )
        self._tracks = Tracks(
            np.empty(0, np.uint32),
            np.empty((0, 4)),
            np.empty(0, np.int64),
            np.empty((0, 4)),
            np.empty(0, np.int64),
        )
        self.cells = EventCells(sensor)

    def usable(
        self, labels: np.ndarray, facts: EventFacts | None, begin: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Corners x1, y1, x2, y2 in pixels, float64 ``[M, 4]``, and which boxes can be judged.

        Args:
            labels: ``LABEL_DTYPE [M]``.
            facts: Of the window's events; without them its begin is a guess.
            begin: Of the window in µs.
        """
        known = -1 if facts is None else begin
        return usable_boxes(labels, self._sensor, known, WINDOW_US, self._known_classes)

    def judge(
        self, labels: np.ndarray, events: np.ndarray | None, facts: EventFacts | None, begin: int
    ) -> BoxFaults:
        """Look at the next window's boxes.

        Args:
            labels: ``LABEL_DTYPE [M]``.
            events: ``EVENT_DTYPE [N]``; ``None`` where they cannot be used or are not read.
            facts: Facts of these events. Where none of them lies inside the sensor, a box without
                events is no news.
            begin: Of the window in µs.
        """
        corners, usable = self.usable(labels, facts, begin)
        jumps, tracks = find_jumps(
            labels,
            corners,
            usable,
            begin + WINDOW_US // 2,
            self._tracks,
            self._sensor,
            self._limits,
        )
        self._tracks = Tracks(*tracks)
        found = {
            Defect.DUPLICATE_BOX: find_duplicates(labels, corners, usable, self._overlap),
            Defect.BOX_JUMP: jumps,
        }
        if events is not None and facts is not None and facts.in_range and len(labels):
            self.cells.count(events)
            found[Defect.BOX_WITHOUT_EVENTS] = find_without_events(
                events, corners, usable, self._sensor, self.cells.bits, self.cells.sums
            )
        return BoxFaults(len(labels), found)
