"""What a report's page is made of, and the small questions that several sections ask."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.release.shards import SPLITS, WINDOW_US
from pipeline.statistics.schema import Quantiles, Statistics
from pipeline.text import short

WINDOW_SECONDS = WINDOW_US / 1e6


@dataclass(frozen=True)
class KeyFigure:
    """One number of the page's top row, what it counts, and a detail below it."""

    value: str
    label: str
    detail: str


@dataclass(frozen=True)
class Table:
    """``rows`` start with the cell that names them; ``text`` counts leading columns of words.

    ``groups`` are titles over several columns each, after the first column.
    """

    caption: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    text: int = 1
    groups: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class Figure:
    """An SVG with its caption."""

    svg: str
    title: str
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Small figures side by side under one caption; ``wide`` ones have two in a row, or one."""

    title: str
    caption: str
    figures: list[Figure]
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """One part of the page, in this order: sentences, figures, galleries, tables."""

    id: str
    title: str
    text: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    galleries: list[Gallery] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def used_splits(statistics: Statistics) -> list[str]:
    """Splits that hold a recording."""
    return [split for split in SPLITS if statistics.splits[split].recordings]


def main_sensor(statistics: Statistics) -> tuple[int, int]:
    """The sensor of most recordings; only a drawing's shape follows from it."""
    sensors = [row.sensor for row in statistics.recordings]
    return max(sorted(set(sensors)), key=sensors.count)


def median(q: Quantiles | None) -> str:
    """The median in short form; a dash without values."""
    return "–" if q is None else short(q.median)
