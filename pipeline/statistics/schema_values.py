"""Many values in a few numbers, as the statistics hold them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantiles:
    """Summary of ``count`` values; pNN is the NN-th percentile (linear interpolation)."""

    count: int
    mean: float
    minimum: float
    p05: float
    p25: float
    median: float
    p75: float
    p95: float
    maximum: float


@dataclass(frozen=True)
class Histogram:
    """Counts of values in ``edges[i] <= value < edges[i + 1]``, by the name of a series."""

    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]
