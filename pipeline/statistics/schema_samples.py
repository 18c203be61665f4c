"""What a sample of windows tells, as the statistics hold it: hot places, and what presets drop."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HotSpot:
    """A place that fires in ``share`` of the sampled windows, those around it in ``around``."""

    x: int
    y: int
    share: float
    around: float


@dataclass(frozen=True)
class HotSpotStatistics:
    """Places that fire far more often than those around them.

    ``unit``: ``cell`` of the grid, as a cache knows them, or ``pixel`` of the sensor, from the events
    themselves; ``columns`` by ``rows`` of them. A place is hot that fires in ``least_share`` of the
    ``sampled_windows`` at least, and ``least_factor`` times as often as the median of the 24 places
    around it. Of ``count`` hot ones the most frequent are listed in ``spots``.
    """

    unit: str
    columns: int
    rows: int
    sampled_windows: int
    sample_seed: int
    least_share: float
    least_factor: float
    count: int
    spots: tuple[HotSpot, ...]


@dataclass(frozen=True)
class PresetLosses:
    """What a preset makes of the events of the sampled windows; the parts sum up to all of them.

    ``outside``: of the sensor. ``repeated``: not the first of its cell (preset release) or pixel
    (paper). ``last_instant``: at the window's very end, which no time bin holds. ``over_max_points``:
    refused by a full pillar, even with room for all pillars. ``over_max_pillars``: refused for the most
    pillars of a polarity, which ``capped_windows`` have. ``encoded``: points of pillars.
    """

    max_points: int
    max_pillars: int
    outside: int
    repeated: int
    last_instant: int
    over_max_points: int
    over_max_pillars: int
    encoded: int
    capped_windows: int


@dataclass(frozen=True)
class PresetStatistics:
    """:class:`PresetLosses` of ``presets``, by name, on a grid of ``columns`` by ``rows``.

    From ``sampled_windows`` with ``events`` in all.
    """

    sampled_windows: int
    sample_seed: int
    events: int
    columns: int
    rows: int
    presets: dict[str, PresetLosses]
