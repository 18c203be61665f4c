"""Shares of boxes that rest, are slow or move: of a cache, and of a manifest."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from pipeline.cache.motion import cached_motion
from pipeline.cache.reader import CachedRecording
from pipeline.cache.records import RAW_LABEL_COLUMNS
from pipeline.release.motion import LIMITS, MOTIONS, counted_kinds
from pipeline.release.shards import SPLITS
from pipeline.selection.entries import RecordingEntry
from pipeline.statistics.schema_motion import MotionStatistics


class MotionCollector:
    """Counts boxes of a cache; ``classes``: how many the data set has."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._boxes = {split: Counter[str]() for split in SPLITS}

    def add(self, recording: CachedRecording) -> None:
        """Count every box that the release has of a recording."""
        numbers = recording.table("labels_raw")[:, RAW_LABEL_COLUMNS.index("class_id")]
        known = cached_motion(recording).rows(np.flatnonzero(numbers < self._classes))
        self._boxes[recording.split].update(counted_kinds(known))

    def merge(self, later: "MotionCollector") -> None:
        """Add what was gathered from later recordings."""
        for split, counts in later._boxes.items():
            self._boxes[split].update(counts)

    def statistics(self) -> MotionStatistics:
        """What all recordings gave."""
        return _statistics(self._boxes)


def motion_of_manifest(rows: Iterable[RecordingEntry]) -> MotionStatistics | None:
    """What the scan counted; ``None`` where it did not look at every recording's boxes."""
    boxes = {split: Counter[str]() for split in SPLITS}
    for row in rows:
        if row.label_checks is None or row.label_checks.motion is None:
            return None
        boxes[row.split].update(row.label_checks.motion)
    return _statistics(boxes)


def _statistics(boxes: Mapping[str, Mapping[str, int]]) -> MotionStatistics:
    counts = {
        split: {name: of_split.get(name, 0) for name in MOTIONS}
        for split, of_split in boxes.items()
    }
    return MotionStatistics(counts, LIMITS.slow_speed, LIMITS.moving_speed)
