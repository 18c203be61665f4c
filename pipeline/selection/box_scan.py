"""What a scan finds of one recording's boxes beside each other, events and earlier windows."""

import heapq
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pipeline.defects import BOX_FAULTS, Defect, EventFacts
from pipeline.release.gaps import Place
from pipeline.release.label_checks import BoxFaults, LabelChecks
from pipeline.release.offset_estimator import OffsetEstimator
from pipeline.release.shards import LABEL_DTYPE
from pipeline.release.windows import Window
from pipeline.selection.entries import LabelCheckEntry, MarkedWindow, OffsetEntry
from pipeline.selection.motion_scan import MotionScan

MOST_WORST = 3  # windows kept of a recording, for pictures
_MOST_MARKED = 60  # boxes kept of such a window
_NO_BOXES = np.empty(0, LABEL_DTYPE)


class BoxScan:
    """Gathers it, shown every window in order.

    Args:
        sensor: Width and height in pixels.
        classes: Names of the data set's classes.
        labels_only: Events are not read.
    """

    def __init__(
        self, sensor: tuple[int, int], classes: Sequence[str], *, labels_only: bool
    ) -> None:
        self._checks = LabelChecks(sensor, len(classes))
        self._motion = MotionScan(len(classes))
        self._classes = classes
        self._offset = None if labels_only else OffsetEstimator(sensor)
        self._counts: dict[Defect, np.ndarray] = defaultdict(
            lambda: np.zeros(len(classes), np.int64)
        )
        self._worst: list[tuple[int, tuple[int, int], MarkedWindow]] = []

    def add(self, window: Window, facts: EventFacts | None, place: Place) -> BoxFaults | None:
        """Take in the next window.

        Args:
            window: As read.
            facts: Of its events; ``None`` where they cannot be used or are not read.
            place: On the recording's clock.

        Returns:
            Its faulty boxes; ``None`` where its boxes cannot be used.
        """
        events = window.events if isinstance(window.events, np.ndarray) else None
        labels = window.labels if isinstance(window.labels, np.ndarray) else None
        faults = None
        if labels is not None:
            faults = self._checks.judge(labels, events, facts, place.begin)
            if faults.is_any:
                self._note(window, labels, faults)
            seen = events is not None and facts is not None and facts.in_range
            self._motion.add(labels, self._checks.cells if seen else None, place.begin)
        if self._offset is None:
            return faults
        if place.is_gap or events is None or facts is None:
            self._offset.interrupt()
        if events is not None and facts is not None:
            boxes = _NO_BOXES if labels is None else labels
            if not len(boxes) or not facts.in_range:
                self._checks.cells.count(events)
            self._offset.add(self._checks.cells, *self._checks.usable(boxes, facts, place.begin))
        return faults

    def _note(self, window: Window, labels: np.ndarray, faults: BoxFaults) -> None:
        marked = []
        for fault in BOX_FAULTS:
            rows = np.flatnonzero(faults.any_of((fault,)))
            if len(rows):
                self._counts[fault] += np.bincount(
                    labels["class_id"][rows], minlength=len(self._classes)
                )
                marked += [(row, fault) for row in rows.tolist()]
        place = MarkedWindow(window.shard, window.member, tuple(marked[:_MOST_MARKED]))
        # Of windows with as many, the earliest stay.
        heapq.heappush(self._worst, (len(marked), (-window.shard, -window.member), place))
        if len(self._worst) > MOST_WORST:
            heapq.heappop(self._worst)

    def entry(self) -> LabelCheckEntry:
        """What all windows gave."""
        offset = None
        if self._offset is not None:
            found = self._offset.estimate()
            offset = OffsetEntry(found.windows, found.low, found.high, found.boxes)
        return LabelCheckEntry(
            faults={
                fault: dict(zip(self._classes, self._counts[fault].tolist(), strict=True))
                for fault in BOX_FAULTS
                if fault in self._counts
            },
            offset=offset,
            worst=tuple(place for _, _, place in sorted(self._worst, reverse=True)),
            motion=self._motion.counts(),
        )
