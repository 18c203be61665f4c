"""Pillars of a cache: how many events survive, how full the grid is; some from a sample."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pipeline.cache.reader import CachedRecording
from pipeline.cache.settings import CacheSettings
from pipeline.pillars.bit_layout import COUNT_BITS, COUNT_MASK, MAX_POINTS_LIMIT
from pipeline.pillars.settings import PillarSettings
from pipeline.release.shards import SPLITS
from pipeline.statistics.boxes import MAP_COLUMNS, MAP_ROWS
from pipeline.statistics.hot_spots import find_hot_spots
from pipeline.statistics.schema import HotSpotStatistics, PillarStatistics
from pipeline.statistics.summaries import COUNT_EDGES, extend, histogram, joined, quantiles_by, tidy

POLARITIES = ("negative", "positive")
STEPS = ("read", "in_range", "after_deduplication", "stored")
SAMPLE_WINDOWS = 256
SAMPLE_SEED = 0


def sample_windows(sizes: Sequence[int]) -> list[list[int]]:
    """Up to 256 windows drawn from recordings of the given sizes, in order, by recording.

    Every window of the cache has the same chance; the same sizes give the same windows.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    rng = np.random.default_rng(SAMPLE_SEED)
    chosen = np.sort(rng.choice(total, min(SAMPLE_WINDOWS, total), replace=False))
    borders = np.searchsorted(chosen, ends)
    starts = ends - np.asarray(sizes, np.int64)
    parts = np.split(chosen, borders[:-1]) if len(ends) else []
    return [(part - start).tolist() for part, start in zip(parts, starts, strict=True)]


class PillarCollector:
    """Pillar counts of every window from the offsets; cells and points from sampled windows."""

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        columns, rows = settings.grid
        self._map = np.zeros((min(MAP_ROWS, rows), min(MAP_COLUMNS, columns)), np.int64)
        # Sampled windows that fire in a cell of the frame: which cells, and how many windows.
        self._fired: list[tuple[np.ndarray, np.ndarray]] = []
        self._row_of = np.arange(rows) * len(self._map) // rows
        self._column_of = np.arange(columns) * self._map.shape[1] // columns
        self._points_per_pillar = np.zeros(MAX_POINTS_LIMIT + 1, np.int64)
        self._sampled = 0
        self._steps = {split: np.zeros(len(STEPS), np.int64) for split in SPLITS}
        self._pillars: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, recording: CachedRecording) -> None:
        """Count a recording's pillars by its offsets, and its events by its windows."""
        ends = recording.table("offsets")  # [2W+1, 2]
        pillars = np.diff(ends[:, 0])
        for polarity, name in enumerate(POLARITIES):
            self._pillars[name].append(pillars[polarity::2])
        events = [
            recording.window_column(column).sum()
            for column in ("events_read", "events_in_range", "events_kept")
        ]
        self._steps[recording.split] += np.array([*events, ends[-1, 1]])

    def sample(self, recording: CachedRecording, windows: Sequence[int]) -> None:
        """Read the pillars of a few windows (numbers in the recording)."""
        grid = recording.encoding.settings
        fired = np.zeros(grid.grid[0] * grid.grid[1] if windows else 0, np.int32)
        for number in windows:
            window = recording.read(number, number + 1)
            counts = np.bincount(window.pillars & COUNT_MASK)
            self._points_per_pillar[: len(counts)] += counts
            in_window = np.zeros(len(fired), bool)
            for start, stop in zip(window.offsets[:2, 0], window.offsets[1:, 0], strict=True):
                cell = np.cumsum(window.pillars[start:stop] >> COUNT_BITS, dtype=np.int64)  # [P]
                self._count_cells(cell, grid)
                in_window[cell % len(fired)] = True
            fired += in_window
        cells = np.flatnonzero(fired)
        self._fired.append((cells, fired[cells]))
        self._sampled += len(windows)

    def merge(self, later: "PillarCollector") -> None:
        """Add what was gathered from later recordings."""
        self._map += later._map
        self._fired += later._fired
        self._points_per_pillar += later._points_per_pillar
        self._sampled += later._sampled
        for split, counts in later._steps.items():
            self._steps[split] += counts
        extend(self._pillars, later._pillars)

    def _count_cells(self, cell: np.ndarray, settings: PillarSettings) -> None:
        columns, rows = settings.grid
        y, x = self._row_of[cell // columns % rows], self._column_of[cell % columns]
        place = y * self._map.shape[1] + x
        self._map += np.bincount(place, minlength=self._map.size).reshape(self._map.shape)

    def statistics(self) -> PillarStatistics:
        """What all recordings gave."""
        s = self._settings
        cells = s.grid[0] * s.grid[1] * s.time_cells
        pillars = {name: joined(self._pillars[name]) for name in POLARITIES}
        area = np.outer(np.bincount(self._row_of), np.bincount(self._column_of))
        mean_map = self._map / area / max(self._sampled, 1)
        return PillarStatistics(
            steps={
                split: dict(zip(STEPS, counts.tolist(), strict=True))
                for split, counts in self._steps.items()
            },
            cells=cells,
            per_window=quantiles_by(self._pillars, POLARITIES),
            per_window_histogram=histogram(self._pillars, POLARITIES, COUNT_EDGES),
            occupied={
                name: tidy(counts.mean() / cells) if len(counts) else 0.0
                for name, counts in pillars.items()
            },
            empty_windows={name: int((counts == 0).sum()) for name, counts in pillars.items()},
            full_windows={
                name: int((counts >= s.max_pillars).sum()) for name, counts in pillars.items()
            },
            sampled_windows=self._sampled,
            sample_seed=SAMPLE_SEED,
            points_per_pillar=tuple(self._points_per_pillar[: s.max_points + 1].tolist()),
            map=tuple(tuple(tidy(value, 4) for value in line) for line in mean_map),
        )

    def hot_spots(self) -> HotSpotStatistics | None:
        """Cells that fire far more often than those around them, in the sampled windows."""
        columns, rows = self._settings.grid
        windows_of_cell = np.zeros(rows * columns, np.int64)
        for cells, windows in self._fired:
            windows_of_cell[cells] += windows
        return find_hot_spots(
            windows_of_cell.reshape(rows, columns), self._sampled, "cell", SAMPLE_SEED
        )
