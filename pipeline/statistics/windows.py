"""Events and sequences of a cache, window by window, gathered recording by recording."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from pipeline.cache.reader import CachedRecording
from pipeline.release.shards import SPLITS, WINDOW_US
from pipeline.statistics.schema import (
    CLIP_WINDOWS,
    EventStatistics,
    Quantiles,
    SequenceStatistics,
)
from pipeline.statistics.summaries import (
    COUNT_EDGES,
    SHARE_EDGES,
    extend,
    histogram,
    joined,
    quantiles,
    quantiles_by,
    tidy,
)

_WINDOWS_A_SECOND = 1_000_000 // WINDOW_US
_MOST_SLOTS = 60
_SLOTS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


@dataclass(frozen=True)
class _Seconds:
    """Windows and events of a recording in the seconds since its begin that have a window."""

    split: str
    second: np.ndarray
    windows: np.ndarray
    events: np.ndarray


def _seconds(recording: CachedRecording, in_range: np.ndarray) -> _Seconds:
    since = recording.window_column("t_start")
    since = (since - since.min(initial=1 << 48)) // 1_000_000
    second, place = np.unique(since, return_inverse=True)
    windows, events = np.bincount(place), np.bincount(place, in_range)
    return _Seconds(recording.split, second, windows, events)


class EventCollector:
    """Event counts and polarity shares of every window, by split."""

    def __init__(self) -> None:
        self._counts: dict[str, list[np.ndarray]] = defaultdict(list)
        self._positive: dict[str, list[np.ndarray]] = defaultdict(list)
        self._seconds: list[_Seconds] = []  # of each recording

    def add(self, recording: CachedRecording) -> None:
        """Take in the windows of one recording."""
        in_range = recording.window_column("events_in_range")
        positive = recording.window_column("positive_in_range")
        busy = in_range > 0
        self._counts[recording.split].append(in_range.copy())
        self._positive[recording.split].append(positive[busy] / in_range[busy])
        self._seconds.append(_seconds(recording, in_range))

    def merge(self, later: "EventCollector") -> None:
        """Add what was gathered from later recordings."""
        extend(self._counts, later._counts)
        extend(self._positive, later._positive)
        self._seconds += later._seconds

    def rates(self) -> list[tuple[float | None, ...]]:
        """Mean events a second of each recording in each slot of time since its begin."""
        slot = self._slot()
        rates = []
        for one in self._seconds:
            place = one.second // slot
            events, windows = (np.bincount(place, of) for of in (one.events, one.windows))
            rates.append(
                tuple(
                    tidy(e / w * _WINDOWS_A_SECOND, 4) if w else None
                    for e, w in zip(events, windows, strict=True)
                )
            )
        return rates

    def _slot(self) -> int:
        """Seconds of a slot, so that the longest recording has at most 60."""
        longest = max(
            (int(one.second[-1]) + 1 for one in self._seconds if len(one.second)), default=1
        )
        return next((slot for slot in _SLOTS if slot * _MOST_SLOTS >= longest), longest)

    def _rate_over_time(
        self, rates: Sequence[tuple[float | None, ...]]
    ) -> dict[str, tuple[Quantiles | None, ...]]:
        of_split: dict[str, list[tuple[float | None, ...]]] = {split: [] for split in SPLITS}
        for one, row in zip(self._seconds, rates, strict=True):
            of_split[one.split].append(row)
        return {
            split: tuple(
                quantiles(np.array([rate for rate in slot if rate is not None]))
                for slot in zip_longest(*rows)
            )
            for split, rows in of_split.items()
        }

    def statistics(self, rates: Sequence[tuple[float | None, ...]]) -> EventStatistics:
        """What all recordings gave, :meth:`rates` among it."""
        return EventStatistics(
            per_window=quantiles_by(self._counts, SPLITS),
            per_window_histogram=histogram(self._counts, SPLITS, COUNT_EDGES),
            positive_share=quantiles_by(self._positive, SPLITS),
            positive_share_histogram=histogram(self._positive, SPLITS, SHARE_EDGES),
            slot_seconds=self._slot(),
            rate_over_time=self._rate_over_time(rates),
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
