"""What differs between two data sets, as the statistics hold it."""

from dataclasses import dataclass

from pipeline.statistics.schema_values import Histogram


@dataclass(frozen=True)
class ComparedSplit:
    """One split, or all of them, here and in the other source.

    ``events`` as read, ``None`` where a source does not tell. ``class_drift`` is the total variation
    between the class shares, 0 the same, 1 disjoint; ``None`` where neither keeps a box.
    """

    recordings: tuple[int, int]
    windows: tuple[int, int]
    events: tuple[int | None, int | None]
    boxes: dict[str, tuple[int, int]]
    class_drift: float | None


@dataclass(frozen=True)
class ComparedValues:
    """A distribution here and in the other source; series ``this`` and ``other``.

    ``medians`` here and there. ``drift`` is the total variation between the histograms. ``None``: a
    source does not tell, or has no value.
    """

    medians: tuple[float | None, float | None]
    histogram: Histogram | None
    drift: float | None


@dataclass(frozen=True)
class Comparison:
    """This source beside another one, whose ``other_kind``, ``other_name``, ``other_digest`` are given.

    ``splits``: train, val, test and ``all``; boxes are kept ones, of the classes that either has.
    ``values``: ``events`` inside the sensor in a window, ``side`` of a kept box in pixels, √(width ·
    height), and its ``ratio``, height over width.
    """

    other_kind: str
    other_name: str
    other_digest: str
    splits: dict[str, ComparedSplit]
    values: dict[str, ComparedValues]
