"""Cells or pixels that fire far more often than those around them."""

import numpy as np

from pipeline.statistics.schema import HotSpot, HotSpotStatistics
from pipeline.statistics.summaries import tidy

LEAST_WINDOWS = 32
LEAST_SHARE = 0.5
LEAST_FACTOR = 3.0
MOST_LISTED = 100
_REACH = 2  # places to each side: 24 around one
_LINES = 64  # of the frame at a time: 24 neighbours of all of them would be much memory


def find_hot_spots(
    windows_of_place: np.ndarray, windows: int, unit: str, seed: int
) -> HotSpotStatistics | None:
    """The hot places of a frame; ``None`` where too few windows were sampled to tell.

    Args:
        windows_of_place: integers ``[rows, columns]``: sampled windows that fire there.
        windows: how many were sampled.
        unit: ``cell`` or ``pixel``.
        seed: they were drawn with.
    """
    if windows < LEAST_WINDOWS:
        return None
    rows, columns = windows_of_place.shape
    shares = windows_of_place / windows
    busy = shares >= LEAST_SHARE
    around = np.zeros(shares.shape)
    for start in range(0, rows, _LINES):
        stop = min(start + _LINES, rows)
        if busy[start:stop].any():
            around[start:stop] = _medians_around(shares, start, stop)
    hot = busy & (shares >= LEAST_FACTOR * around)
    y, x = np.nonzero(hot)
    order = np.lexsort((x, y, around[y, x], -shares[y, x]))[:MOST_LISTED]
    return HotSpotStatistics(
        unit=unit,
        columns=columns,
        rows=rows,
        sampled_windows=windows,
        sample_seed=seed,
        least_share=LEAST_SHARE,
        least_factor=LEAST_FACTOR,
        count=len(x),
        spots=tuple(
            HotSpot(int(x[k]), int(y[k]), tidy(shares[y[k], x[k]], 4), tidy(around[y[k], x[k]], 4))
            for k in order
        ),
    )


def _medians_around(shares: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Median of the places around each one of rows ``start`` to ``stop``, those in the frame alone."""
    rows, columns = shares.shape
    padded = np.full((stop - start + 2 * _REACH, columns + 2 * _REACH), np.nan)
    first, last = max(start - _REACH, 0), min(stop + _REACH, rows)
    at = first - (start - _REACH)
    padded[at : at + last - first, _REACH : _REACH + columns] = shares[first:last]
    side = 2 * _REACH + 1
    views = [
        padded[dy : dy + stop - start, dx : dx + columns]
        for dy in range(side)
        for dx in range(side)
        if (dy, dx) != (_REACH, _REACH)
    ]
    neighbours = np.sort(np.stack(views), axis=0)  # [24, …], those outside the frame last
    known = np.count_nonzero(~np.isnan(neighbours), axis=0)
    low, high = (np.maximum(known - 1, 0) // 2)[None], (known // 2).clip(max=len(views) - 1)[None]
    middle = [np.take_along_axis(neighbours, place, axis=0)[0] for place in (low, high)]
    return np.where(known > 0, (middle[0] + middle[1]) / 2, 0)
