"""Events and sequences of a cache, window by window, gathered recording by recording."""

from collections import defaultdict

import numpy as np

from pipeline.cache.reader import CachedRecording
from pipeline.release.shards import SPLITS, WINDOW_US
from pipeline.statistics.schema import CLIP_WINDOWS, EventStatistics, SequenceStatistics
from pipeline.statistics.summaries import (
    COUNT_EDGES,
    SHARE_EDGES,
    extend,
    histogram,
    joined,
    quantiles,
    quantiles_by,
)


class EventCollector:
    """Event counts and polarity shares of every window, by split."""

    def __init__(self) -> None:
        self._counts: dict[str, list[np.ndarray]] = defaultdict(list)
        self._positive: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, recording: CachedRecording) -> None:
        """Take in the windows of one recording."""
        in_range = recording.window_column("events_in_range")
        positive = recording.window_column("positive_in_range")
        busy = in_range > 0
        self._counts[recording.split].append(in_range.copy())
        self._positive[recording.split].append(positive[busy] / in_range[busy])

    def merge(self, later: "EventCollector") -> None:
        """Add what was gathered from later recordings."""
        extend(self._counts, later._counts)
        extend(self._positive, later._positive)

    def statistics(self) -> EventStatistics:
        """What all recordings gave."""
        return EventStatistics(
            per_window=quantiles_by(self._counts, SPLITS),
            per_window_histogram=histogram(self._counts, SPLITS, COUNT_EDGES),
            positive_share=quantiles_by(self._positive, SPLITS),
            positive_share_histogram=histogram(self._positive, SPLITS, SHARE_EDGES),
        )


class SequenceCollector:
    """Runs of windows that follow one another, and the time between them."""

    def __init__(self) -> None:
        self._lengths: dict[str, list[np.ndarray]] = defaultdict(list)
        self._gaps_us: list[np.ndarray] = []

    def add(self, recording: CachedRecording) -> int:
        """Take in the windows of one recording; its number of sequences."""
        begins = np.flatnonzero(recording.window_column("starts"))
        t_start = recording.window_column("t_start")
        inner = begins[begins > 0]
        self._lengths[recording.split].append(np.diff(np.append(begins, len(recording))))
        self._gaps_us.append(t_start[inner] - t_start[inner - 1] - WINDOW_US)
        return len(begins)

    def merge(self, later: "SequenceCollector") -> None:
        """Add what was gathered from later recordings."""
        extend(self._lengths, later._lengths)
        self._gaps_us += later._gaps_us

    def statistics(self) -> SequenceStatistics:
        """What all recordings gave."""
        gaps = joined(self._gaps_us)
        return SequenceStatistics(
            windows=quantiles_by(self._lengths, SPLITS),
            clips={
                split: sum(int((n // CLIP_WINDOWS).sum()) for n in self._lengths[split])
                for split in SPLITS
            },
            gap_ms=quantiles(gaps[gaps >= 0] / 1000),
            backwards=int((gaps < 0).sum()),
        )
