"""The report's figures as SVG text, one function a figure; :mod:`pipeline.report.chart_parts` draws."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.release.shards import SPLITS
from pipeline.report.chart_parts import (
    FIRST,
    MUTED,
    ROUND,
    SERIES,
    draw_steps,
    heat,
    legend,
    log_ticks,
    name_rows,
    percent,
    share_axis,
    svg,
)
from pipeline.statistics.schema import Histogram, Quantiles, RecordingStatistics


def boxes_by_class(counts: Mapping[str, Mapping[str, int]], label: str) -> str:
    """Dots on a logarithmic axis; ``counts[split][class]``. None at all is a hollow dot at the edge."""
    classes = list(next(iter(counts.values())))
    top = max(max(row.values()) for row in counts.values())

    def draw(axes: Axes) -> None:
        rows = np.arange(len(classes))
        offsets = np.linspace(-0.18, 0.18, len(counts)) if len(counts) > 1 else np.zeros(1)
        for offset, (split, row) in zip(offsets, counts.items(), strict=True):
            colour, marker, _ = SERIES[split]
            values = np.array([row[name] for name in classes], float)
            found = values > 0
            axes.plot(
                values[found],
                rows[found] + offset,
                marker,
                color=colour,
                markersize=5,
                label=split,
            )
            axes.plot(
                np.full((~found).sum(), 0.6),
                rows[~found] + offset,
                marker,
                markeredgecolor=colour,
                markerfacecolor="none",
                markersize=5,
                clip_on=False,
            )
        axes.set_xscale("log")
        axes.set_xlim(0.6, max(top, 10) * 1.6)
        log_ticks(axes, "x")
        name_rows(axes, classes)
        axes.tick_params(axis="y", pad=8)  # clear of the marks at the edge
        axes.set_xlabel("kept boxes")
        legend(axes, len(counts))

    return svg(draw, label, height=0.9 + 0.24 * len(classes))


def boxes_per_window(counts: Mapping[str, Sequence[int]], label: str) -> str:
    """Share of windows by number of kept boxes, a step line for each split."""

    def draw(axes: Axes) -> None:
        for split, row in counts.items():
            colour, _, line = SERIES[split]
            shares = np.array(row) / max(sum(row), 1)
            edges = np.arange(len(row) + 1) - 0.5
            axes.stairs(shares, edges, color=colour, linestyle=line, linewidth=1.6, label=split)
        axes.set_ylim(0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        share_axis(axes, "share of windows")
        axes.set_xlabel("kept boxes in a window")
        legend(axes, len(counts))

    return svg(draw, label)


def ranges_by_class(
    series: Mapping[str, Mapping[str, Quantiles | None]],
    unit: str,
    label: str,
    scale: float = 1.0,
) -> str:
    """For each class the middle 90 % (thin), the middle half (thick) and the median (dot).

    ``series[name][class]``; values times ``scale`` on a logarithmic axis.
    """
    classes = list(next(iter(series.values())))

    def draw(axes: Axes) -> None:
        offsets = np.linspace(-0.17, 0.17, len(series)) if len(series) > 1 else np.zeros(1)
        for offset, (name, by_class) in zip(offsets, series.items(), strict=True):
            colour, marker, _ = SERIES[name]
            found = [(k, q) for k, c in enumerate(classes) if (q := by_class[c]) is not None]
            rows = [k + offset for k, _ in found]
            for low, high, width in (("p05", "p95", 1.0), ("p25", "p75", 3.2)):
                axes.hlines(
                    rows,
                    [getattr(q, low) * scale for _, q in found],
                    [getattr(q, high) * scale for _, q in found],
                    color=colour,
                    linewidth=width,
                )
            medians = [q.median * scale for _, q in found]
            axes.plot(medians, rows, marker, color=colour, markersize=5, label=name)
        axes.set_xscale("log")
        log_ticks(axes, "x")
        name_rows(axes, classes)
        axes.set_xlabel(unit)
        if len(series) > 1:
            legend(axes, len(series))

    return svg(draw, label, height=0.9 + 0.26 * len(classes))


def count_histogram(histogram: Histogram, names: Sequence[str], unit: str, label: str) -> str:
    """Share of windows over counts on a logarithmic axis, a step line for each series."""
    edges = np.array(histogram.edges)
    first = 1 if edges[0] == 0 else 0  # windows of nothing have no place on the axis

    def draw(axes: Axes) -> None:
        draw_steps(axes, histogram, names, edges, first)
        axes.set_xscale("log")
        log_ticks(axes, "x")
        axes.set_xlabel(unit)

    return svg(draw, label)


def share_histogram(histogram: Histogram, names: Sequence[str], unit: str, label: str) -> str:
    """Share of windows over a share from 0 to 1, a step line for each series."""

    def draw(axes: Axes) -> None:
        draw_steps(axes, histogram, names, np.array(histogram.edges), 0)
        axes.xaxis.set_major_formatter(FuncFormatter(percent))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
        axes.set_xlabel(unit)

    return svg(draw, label)


def events_by_recording(rows: Sequence[RecordingStatistics], label: str) -> str:
    """Median (dot) and middle 90 % (line) of events a window, recordings in order of the median."""
    found = [(row, q) for row in rows if (q := row.events_per_window) is not None and q.maximum > 0]
    found.sort(key=lambda pair: (pair[1].median, pair[0].id))

    def draw(axes: Axes) -> None:
        for split in SPLITS:
            colour, marker, _ = SERIES[split]
            mine = [(k, q) for k, (row, q) in enumerate(found) if row.split == split]
            if not mine:
                continue
            places = [k + 1 for k, _ in mine]
            low, high = [max(q.p05, 0.5) for _, q in mine], [q.p95 for _, q in mine]
            axes.vlines(places, low, high, color=colour, linewidth=1)
            medians = [max(q.median, 0.5) for _, q in mine]
            dot = 4 if len(found) <= 60 else 2
            axes.plot(places, medians, marker, color=colour, markersize=dot, label=split)
        axes.set_yscale("log")
        log_ticks(axes, "y")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("recordings, quiet to busy")
        axes.set_ylabel("events in a window")
        legend(axes, 3)

    return svg(draw, label)


def points_per_pillar(counts: Sequence[int], label: str) -> str:
    """Share of pillars by their number of points; ``counts[n]`` pillars have n."""

    def draw(axes: Axes) -> None:
        numbers = np.arange(1, len(counts))
        shares = np.array(counts[1:]) / max(sum(counts), 1)
        bars = axes.bar(numbers, shares, color=FIRST, width=0.7)
        axes.bar_label(bars, [percent(s, 0) for s in shares], color=MUTED, fontsize=8.5, padding=2)
        axes.set_xticks(numbers)
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.15)
        share_axis(axes, "share of pillars")
        axes.set_xlabel("points in a pillar")

    return svg(draw, label)


def place_map(values: Sequence[Sequence[float]], aspect: float, label: str) -> str:
    """Values over the frame, strongest where largest; ``aspect`` is the sensor's width over height."""
    table = np.array(values, float)

    def draw(axes: Axes) -> None:
        axes.imshow(heat(table), interpolation="none", aspect="auto", extent=(0, 1, 1, 0))
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(True)

    return svg(draw, label, width=2.2, height=2.2 / aspect)


def size_map(counts: Sequence[Sequence[int]], edges: Sequence[float], label: str) -> str:
    """Boxes by width (x) and height (y) in grid units, both logarithmic; the line marks squares."""
    table = np.array(counts, float)

    def draw(axes: Axes) -> None:
        octave = np.log2([edges[0], edges[-1]])
        axes.imshow(
            heat(table),
            interpolation="none",
            aspect="auto",
            origin="lower",
            extent=(octave[0], octave[1], octave[0], octave[1]),
        )
        axes.plot(octave, octave, color=MUTED, linewidth=0.6)
        ticks = np.arange(max(2, int(octave[0])), octave[1] + 0.01, 2)
        names = [f"{2**tick:.0f}" for tick in ticks]
        axes.set_xticks(ticks, names)
        axes.set_yticks(ticks, names)
        axes.set_xlim(2, octave[1])
        axes.set_ylim(2, octave[1])
        axes.set_xlabel("width")
        axes.set_ylabel("height")

    return svg(draw, label, width=2.2, height=2.1)


# --- parts ------------------------------------------------------------------------------------
