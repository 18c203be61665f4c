"""Intervals of a score by the bootstrap over recordings.

Windows of one recording resemble each other; what a score would be elsewhere is uncertain because other
recordings would be there. So whole recordings are drawn, with replacement, as many as there are; the
protocol's number is computed of each draw, and the middle 95 % of these are the interval (the percentile
bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, 1993). Results of the same recordings
and seed are made of the same draws, so that their difference has an interval of its own.
"""

from collections.abc import Mapping

import numpy as np

from dmanet.evaluation.details import Interval, Intervals, Resampling

LEVEL = 0.95
#: With fewer recordings the draws differ too little: intervals are too narrow.
FEW_RECORDINGS = 10
_DIGITS = 6  # of a draw as it is kept


def drawn_weights(recordings: int, resampling: Resampling) -> np.ndarray:
    """How often each of R recordings is in each draw: int64 ``[B, R]``, every row with the sum R."""
    rng = np.random.default_rng(resampling.seed)
    drawn = rng.integers(recordings, size=(resampling.count, recordings))
    weights = np.zeros((resampling.count, recordings), np.int64)
    np.add.at(weights, (np.arange(resampling.count)[:, None], drawn), 1)
    return weights


def intervals_of(draws: Mapping[str, np.ndarray], resampling: Resampling) -> Intervals:
    """The intervals of numbers from their values ``[B]`` in each draw."""
    return Intervals(
        LEVEL,
        resampling,
        {key: interval_of(values) for key, values in draws.items()},
        {key: tuple(map(_kept, values.tolist())) for key, values in draws.items()},
    )


def interval_of(values: np.ndarray) -> Interval | None:
    """The interval of values ``[B]``, those that are NaN left out; None where all are."""
    there = values[~np.isnan(values)]
    if not len(there):
        return None
    low, high = np.percentile(there, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(float(low), float(high))


def _kept(value: float) -> float | None:
    return None if np.isnan(value) else round(value, _DIGITS)
