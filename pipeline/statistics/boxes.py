"""Kept boxes of a cache: how many, how large, where, and how long their tracks are."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pipeline.cache.reader import CachedRecording
from pipeline.release.shards import SPLITS
from pipeline.statistics.schema import BoxStatistics
from pipeline.statistics.summaries import (
    RATIO_EDGES,
    SIDE_EDGES,
    Parts,
    extend,
    histogram,
    joined,
    quantiles_by,
    tidy,
)

MAP_ROWS, MAP_COLUMNS = 18, 32  # square places on a 16:9 sensor
BINS_AN_OCTAVE = 4
_FIELDS = ("width_grid", "height_grid", "width_pixels", "height_pixels", "track_windows")


class BoxCollector:
    """Sizes, places and tracks of every kept box; ``classes`` are names in the cache's order."""

    def __init__(self, classes: Sequence[str], grid: tuple[int, int]) -> None:
        self._classes = tuple(classes)
        self._grid = grid
        octaves = int(np.ceil(np.log2(max(grid))))
        self._edges = 2.0 ** (np.arange(BINS_AN_OCTAVE * octaves + 1) / BINS_AN_OCTAVE)
        bins = len(self._edges) - 1
        self._sizes = np.zeros((len(classes), bins, bins), np.int64)
        self._places = np.zeros((len(classes), MAP_ROWS, MAP_COLUMNS), np.int64)
        self._per_window: dict[str, list[np.ndarray]] = defaultdict(list)
        self._columns: dict[str, dict[str, list[np.ndarray]]] = {
            field: defaultdict(list) for field in _FIELDS
        }

    def add(self, recording: CachedRecording) -> dict[str, int]:
        """Returns how many boxes of each class the recording holds."""
        self._per_window[recording.split].append(np.diff(recording.table("label_offsets")[:, 1]))
        window, x1, y1, x2, y2, number, track, _ = recording.table("labels").T
        pixels_x, pixels_y = np.divide(recording.sensor, self._grid)
        counts = {}
        for index, name in enumerate(self._classes):
            rows = number == index
            counts[name] = int(rows.sum())
            width, height = (x2 - x1)[rows], (y2 - y1)[rows]
            for field, values in (
                ("width_grid", width),
                ("height_grid", height),
                ("width_pixels", width * pixels_x),
                ("height_pixels", height * pixels_y),
            ):
                self._columns[field][name].append(values.astype(np.float32))
            self._count_sizes(index, width, height)
            self._count_places(index, (x1 + x2)[rows] / 2, (y1 + y2)[rows] / 2)
            pairs = track[rows].astype(np.int64) << 31 | window[rows].astype(np.int64)
            # Each window of a track once.
            lengths = np.unique(np.unique(pairs) >> 31, return_counts=True)[1]
            self._columns["track_windows"][name].append(lengths)
        return counts

    def merge(self, later: "BoxCollector") -> None:
        """Add what was gathered from later recordings."""
        self._sizes += later._sizes
        self._places += later._places
        extend(self._per_window, later._per_window)
        for field, columns in later._columns.items():
            extend(self._columns[field], columns)

    def labelled_windows(self, split: str) -> int:
        """Windows of a split that hold at least one kept box."""
        return sum(int((boxes > 0).sum()) for boxes in self._per_window[split])

    def statistics(self) -> BoxStatistics:
        """What all recordings gave."""
        sides, ratios = self._sides_and_ratios("pixels")
        return BoxStatistics(
            per_window={
                split: tuple(np.bincount(joined(self._per_window[split]).astype(int)).tolist())
                for split in SPLITS
            },
            width_pixels=quantiles_by(self._columns["width_pixels"], self._classes),
            height_pixels=quantiles_by(self._columns["height_pixels"], self._classes),
            width_grid=quantiles_by(self._columns["width_grid"], self._classes),
            height_grid=quantiles_by(self._columns["height_grid"], self._classes),
            ratio_pixels=quantiles_by(ratios, self._classes),
            ratio_grid=quantiles_by(self._sides_and_ratios("grid")[1], self._classes),
            side_histogram=histogram(sides, self._classes, SIDE_EDGES),
            ratio_histogram=histogram(ratios, self._classes, RATIO_EDGES),
            size_edges=tuple(tidy(edge) for edge in self._edges),
            sizes=dict(zip(self._classes, map(_table, self._sizes), strict=True)),
            places=dict(zip(self._classes, map(_table, self._places), strict=True)),
            track_windows=quantiles_by(self._columns["track_windows"], self._classes),
        )

    def _sides_and_ratios(self, unit: str) -> tuple[Parts, Parts]:
        """√(width · height), and height over width, of boxes that have both, by class."""
        sides, ratios = {}, {}
        for name in self._classes:
            width, height = (
                joined(self._columns[f"{side}_{unit}"][name]).astype(np.float64)
                for side in ("width", "height")
            )
            has_both = (width > 0) & (height > 0)
            # Corners are stored in float32: without its last bits, equal boxes of caches of different
            # grids fall into the same bin.
            sides[name] = [np.round(np.sqrt(width * height)[has_both], 3)]
            ratios[name] = [np.round(height[has_both] / width[has_both], 4)]
        return sides, ratios

    def _count_sizes(self, index: int, width: np.ndarray, height: np.ndarray) -> None:
        last = len(self._edges) - 2
        column = np.clip(np.searchsorted(self._edges, width, side="right") - 1, 0, last)
        row = np.clip(np.searchsorted(self._edges, height, side="right") - 1, 0, last)
        np.add.at(self._sizes[index], (row, column), 1)

    def _count_places(self, index: int, x: np.ndarray, y: np.ndarray) -> None:
        column = np.clip((x / self._grid[0] * MAP_COLUMNS).astype(int), 0, MAP_COLUMNS - 1)
        row = np.clip((y / self._grid[1] * MAP_ROWS).astype(int), 0, MAP_ROWS - 1)
        np.add.at(self._places[index], (row, column), 1)


def _table(counts: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(line) for line in counts.tolist())
