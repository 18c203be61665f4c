"""Many values to a few: quantiles and histograms of the statistics."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.release.shards import WINDOW_US
from pipeline.statistics.schema import Histogram, Quantiles

#: Edges for counts: nothing, then twenty bins a decade.
COUNT_EDGES = np.concatenate([[0.0], np.round(10 ** (np.arange(161) / 20), 3)])
#: Sides in pixels and ratios: eight bins an octave.
SIDE_EDGES = 2.0 ** (np.arange(8 * 14 + 1) / 8)
RATIO_EDGES = 2.0 ** (np.arange(-8 * 5, 8 * 5 + 1) / 8)
SHARE_EDGES = np.linspace(0, 1, 51)

#: Parts of one long column, by the name of a series.
Parts = Mapping[str, Sequence[np.ndarray]]


def extend(parts: dict[str, list[np.ndarray]], more: Parts) -> None:
    """Put the parts of ``more`` behind those of ``parts``, series by series."""
    for name, arrays in more.items():
        parts[name].extend(arrays)


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """One array of all parts; empty without any."""
    return np.concatenate(parts) if len(parts) else np.empty(0)


def quantiles(values: np.ndarray) -> Quantiles | None:
    """Summary of a flat array; ``None`` for an empty one."""
    if not len(values):
        return None
    points = np.percentile(values, (0, 5, 25, 50, 75, 95, 100))
    low, p05, p25, median, p75, p95, high = (tidy(point) for point in points)
    mean = tidy(values.mean(dtype=np.float64))
    return Quantiles(len(values), mean, low, p05, p25, median, p75, p95, high)


def quantiles_by(columns: Parts, names: Sequence[str]) -> dict[str, Quantiles | None]:
    """:func:`quantiles` of each series."""
    return {name: quantiles(joined(columns.get(name, ()))) for name in names}


def histogram(columns: Parts, names: Sequence[str], edges: np.ndarray) -> Histogram:
    """Counts of each series in ``edges``, without the bins that are empty at both ends of all.

    Values at or beyond the outer edges count in the outer bins.
    """
    counts = np.zeros((len(names), len(edges) - 1), np.int64)
    for row, name in zip(counts, names, strict=True):
        bins = np.searchsorted(edges, joined(columns.get(name, ())), side="right") - 1
        row += np.bincount(np.clip(bins, 0, len(row) - 1), minlength=len(row))
    used = np.flatnonzero(counts.sum(axis=0))
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
    return Histogram(
        edges=tuple(tidy(edge) for edge in edges[first : last + 1]) if len(used) else (),
        counts={n: tuple(row[first:last].tolist()) for n, row in zip(names, counts, strict=True)},
    )


def tidy(value: float, digits: int = 9) -> float:
    """Rounded to significant digits: readable, and free of the last bits of a sum's order."""
    return float(f"{value:.{digits}g}")


def hours(windows: int) -> float:
    """Time that windows cover, in hours."""
    return tidy(windows * WINDOW_US / 3.6e9)
