"""Figures of the event rate over time and of shares by class; drawn as :mod:`pipeline.report.charts`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.report.chart_parts import (
    MUTED,
    ROUND,
    SERIES,
    heat,
    legend,
    log_ticks,
    name_rows,
    percent,
    svg,
)
from pipeline.statistics.schema import Histogram, Quantiles


def rate_over_time(
    rates: Mapping[str, Sequence[Quantiles | None]], slot_seconds: int, label: str
) -> str:
    """Median rate of the recordings (line) and their middle 90 % (band) by time since the begin."""

    def draw(axes: Axes) -> None:
        for split, slots in rates.items():
            colour, _, line = SERIES[split]
            low, median, high = (
                np.array([np.nan if q is None else getattr(q, name) for q in slots] or [np.nan])
                for name in ("p05", "median", "p95")
            )
            middle = (np.arange(len(median)) + 0.5) * slot_seconds
            axes.fill_between(middle, low, high, color=colour, alpha=0.12, linewidth=0)
            axes.plot(middle, median, color=colour, linestyle=line, label=split)
        axes.set_ylim(0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
        axes.set_xlabel("seconds since a recording's begin")
        axes.set_ylabel("events in a second")
        legend(axes, len(rates))

    return svg(draw, label)


def rates_by_recording(
    rates: Sequence[Sequence[float | None]], slot_seconds: int, label: str
) -> str:
    """A line of the picture for each recording, time from left to right, strongest where most events."""
    slots = max(map(len, rates))
    table = np.zeros((len(rates), slots))
    for row, values in zip(table, rates, strict=True):
        row[: len(values)] = [value or 0.0 for value in values]

    def draw(axes: Axes) -> None:
        axes.imshow(
            heat(table),
            interpolation="none",
            aspect="auto",
            extent=(0, slots * slot_seconds, len(rates) + 0.5, 0.5),
        )
        axes.grid(visible=False)
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, steps=ROUND, min_n_ticks=1))
        axes.set_xlabel("seconds since a recording's begin")
        axes.set_ylabel("recording")

    return svg(draw, label)


def shares_by_class(series: Mapping[str, Mapping[str, float | None]], unit: str, label: str) -> str:
    """A share of each class, ``series[name][class]``, a mark for each name."""
    classes = list(next(iter(series.values())))

    def draw(axes: Axes) -> None:
        offsets = np.linspace(-0.15, 0.15, len(series)) if len(series) > 1 else np.zeros(1)
        for offset, (name, by_class) in zip(offsets, series.items(), strict=True):
            colour, marker, _ = SERIES[name]
            found = [
                (k + offset, v) for k, c in enumerate(classes) if (v := by_class[c]) is not None
            ]
            rows, values = [row for row, _ in found], [value for _, value in found]
            axes.hlines(rows, 0, values, color=colour, linewidth=1.2)
            axes.plot(values, rows, marker, color=colour, markersize=5, label=name, clip_on=False)
        top = max((v for by in series.values() for v in by.values() if v is not None), default=0)
        axes.set_xlim(0, max(top * 1.05, 0.01))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
        axes.xaxis.set_major_formatter(FuncFormatter(percent))
        name_rows(axes, classes)
        axes.tick_params(axis="y", pad=8)  # clear of the marks at 0
        axes.set_xlabel(unit)
        legend(axes, len(series))

    return svg(draw, label, height=0.9 + 0.26 * len(classes))


def two_distributions(histogram: Histogram, unit: str, of: str, label: str) -> str:
    """Shares of the values of ``this`` and ``other`` over a logarithmic axis."""
    edges = np.array(histogram.edges)
    first = 1 if edges[0] == 0 else 0  # nothing has no place on the axis

    def draw(axes: Axes) -> None:
        for name, counts in histogram.counts.items():
            colour, _, line = SERIES[name]
            shares = np.array(counts[first:]) / max(sum(counts), 1)
            axes.stairs(shares, edges[first:], color=colour, alpha=0.12, fill=True)
            axes.stairs(
                shares, edges[first:], color=colour, linestyle=line, linewidth=1.6, label=name
            )
        axes.set_ylim(0)
        axes.set_xscale("log")
        log_ticks(axes, "x")
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
        axes.yaxis.set_major_formatter(FuncFormatter(percent))
        axes.set_ylabel(f"share of {of}")
        axes.set_xlabel(unit)
        legend(axes, len(histogram.counts))

    return svg(draw, label)


def spots_over_frame(
    places: Sequence[tuple[int, int]], columns: int, rows: int, aspect: float, label: str
) -> str:
    """A ring around every place; ``aspect`` is the frame's width over its height as it is seen."""

    def draw(axes: Axes) -> None:
        x, y = (np.array([place[axis] + 0.5 for place in places]) for axis in (0, 1))
        axes.plot(
            x, y, "o", markersize=7, markerfacecolor="none", markeredgecolor=SERIES["other"][0]
        )
        axes.plot(x, y, ".", markersize=2.5, color=SERIES["other"][0])
        axes.set_xlim(0, columns)
        axes.set_ylim(rows, 0)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.spines[["top", "right"]].set_visible(True)
        axes.tick_params(labelcolor=MUTED)

    return svg(draw, label, height=0.4 + 3.7 / aspect)


def _plain(value: float) -> str:
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:g} {unit}"
    return f"{value:g}"
