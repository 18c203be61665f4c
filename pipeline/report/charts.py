"""The report's figures as SVG text, drawn with matplotlib in the page's own colours and font.

Figures are small, so that a phone shows them near their own size. Colours are CSS variables of the
page: matplotlib draws with stand-in colours, which :func:`_svg` replaces.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from pipeline.release.shards import SPLITS
from pipeline.statistics.schema import Histogram, Quantiles, RecordingStatistics
from pipeline.text import short

_INK, _MUTED, _RULE = "#010101", "#020202", "#030303"
_FIRST, _SECOND, _THIRD = "#040404", "#050505", "#060606"
_VARIABLES = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _RULE: "var(--rule)",
    _FIRST: "var(--first)",
    _SECOND: "var(--second)",
    _THIRD: "var(--third)",
}
_HEAT = (0x2B, 0x7B, 0xC4)  # an image cannot follow the page's colours: a blue for both modes

#: Colour, marker and line of a series; never told apart by colour alone.
_SERIES = {
    "train": (_FIRST, "o", "-"),
    "val": (_SECOND, "D", (0, (4, 1.5))),
    "test": (_THIRD, "s", (0, (1.2, 1.2))),
    "negative": (_FIRST, "o", "-"),
    "positive": (_SECOND, "D", (0, (4, 1.5))),
    "track": (_FIRST, "o", "-"),
    "width": (_FIRST, "o", "-"),
    "height": (_SECOND, "D", "-"),
}
_ROUND = (1, 2, 2.5, 5, 10)  # steps of ticks in percent


def chart_style(ink: str, muted: str, rule: str, salt: str) -> dict[Any, Any]:
    """Matplotlib's settings for a chart of ours, in three colours.

    The same ``salt`` gives the same file from the same numbers.
    """
    return {
        "svg.hashsalt": salt,
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.edgecolor": rule,
        "axes.labelcolor": muted,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": rule,
        "grid.linewidth": 0.5,
        "text.color": ink,
        "xtick.color": rule,
        "ytick.color": rule,
        "xtick.labelcolor": muted,
        "ytick.labelcolor": muted,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "lines.linewidth": 1.6,
    }


def boxes_by_class(counts: Mapping[str, Mapping[str, int]], label: str) -> str:
    """Dots on a logarithmic axis; ``counts[split][class]``. None at all is a hollow dot at the edge."""
    classes = list(next(iter(counts.values())))
    top = max(max(row.values()) for row in counts.values())

    def draw(axes: Axes) -> None:
        rows = np.arange(len(classes))
        offsets = np.linspace(-0.18, 0.18, len(counts)) if len(counts) > 1 else np.zeros(1)
        for offset, (split, row) in zip(offsets, counts.items(), strict=True):
            colour, marker, _ = _SERIES[split]
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
        _log_ticks(axes, "x")
        _name_rows(axes, classes)
        axes.tick_params(axis="y", pad=8)  # clear of the marks at the edge
        axes.set_xlabel("kept boxes")
        _legend(axes, len(counts))

    return _svg(draw, label, height=0.9 + 0.24 * len(classes))


def boxes_per_window(counts: Mapping[str, Sequence[int]], label: str) -> str:
    """Share of windows by number of kept boxes, a step line for each split."""

    def draw(axes: Axes) -> None:
        for split, row in counts.items():
            colour, _, line = _SERIES[split]
            shares = np.array(row) / max(sum(row), 1)
            edges = np.arange(len(row) + 1) - 0.5
            axes.stairs(shares, edges, color=colour, linestyle=line, linewidth=1.6, label=split)
        axes.set_ylim(0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _share_axis(axes, "share of windows")
        axes.set_xlabel("kept boxes in a window")
        _legend(axes, len(counts))

    return _svg(draw, label)


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
            colour, marker, _ = _SERIES[name]
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
        _log_ticks(axes, "x")
        _name_rows(axes, classes)
        axes.set_xlabel(unit)
        if len(series) > 1:
            _legend(axes, len(series))

    return _svg(draw, label, height=0.9 + 0.26 * len(classes))


def count_histogram(histogram: Histogram, names: Sequence[str], unit: str, label: str) -> str:
    """Share of windows over counts on a logarithmic axis, a step line for each series."""
    edges = np.array(histogram.edges)
    first = 1 if edges[0] == 0 else 0  # windows of nothing have no place on the axis

    def draw(axes: Axes) -> None:
        _draw_steps(axes, histogram, names, edges, first)
        axes.set_xscale("log")
        _log_ticks(axes, "x")
        axes.set_xlabel(unit)

    return _svg(draw, label)


def share_histogram(histogram: Histogram, names: Sequence[str], unit: str, label: str) -> str:
    """Share of windows over a share from 0 to 1, a step line for each series."""

    def draw(axes: Axes) -> None:
        _draw_steps(axes, histogram, names, np.array(histogram.edges), 0)
        axes.xaxis.set_major_formatter(FuncFormatter(_percent))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=_ROUND))
        axes.set_xlabel(unit)

    return _svg(draw, label)


def events_by_recording(rows: Sequence[RecordingStatistics], label: str) -> str:
    """Median (dot) and middle 90 % (line) of events a window, recordings in order of the median."""
    found = [(row, q) for row in rows if (q := row.events_per_window) is not None and q.maximum > 0]
    found.sort(key=lambda pair: (pair[1].median, pair[0].id))

    def draw(axes: Axes) -> None:
        for split in SPLITS:
            colour, marker, _ = _SERIES[split]
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
        _log_ticks(axes, "y")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("recordings, quiet to busy")
        axes.set_ylabel("events in a window")
        _legend(axes, 3)

    return _svg(draw, label)


def points_per_pillar(counts: Sequence[int], label: str) -> str:
    """Share of pillars by their number of points; ``counts[n]`` pillars have n."""

    def draw(axes: Axes) -> None:
        numbers = np.arange(1, len(counts))
        shares = np.array(counts[1:]) / max(sum(counts), 1)
        bars = axes.bar(numbers, shares, color=_FIRST, width=0.7)
        axes.bar_label(
            bars, [_percent(s, 0) for s in shares], color=_MUTED, fontsize=8.5, padding=2
        )
        axes.set_xticks(numbers)
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.15)
        _share_axis(axes, "share of pillars")
        axes.set_xlabel("points in a pillar")

    return _svg(draw, label)


def place_map(values: Sequence[Sequence[float]], aspect: float, label: str) -> str:
    """Values over the frame, strongest where largest; ``aspect`` is the sensor's width over height."""
    table = np.array(values, float)

    def draw(axes: Axes) -> None:
        axes.imshow(_heat(table), interpolation="none", aspect="auto", extent=(0, 1, 1, 0))
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(True)

    return _svg(draw, label, width=2.2, height=2.2 / aspect)


def size_map(counts: Sequence[Sequence[int]], edges: Sequence[float], label: str) -> str:
    """Boxes by width (x) and height (y) in grid units, both logarithmic; the line marks squares."""
    table = np.array(counts, float)

    def draw(axes: Axes) -> None:
        octave = np.log2([edges[0], edges[-1]])
        axes.imshow(
            _heat(table),
            interpolation="none",
            aspect="auto",
            origin="lower",
            extent=(octave[0], octave[1], octave[0], octave[1]),
        )
        axes.plot(octave, octave, color=_MUTED, linewidth=0.6)
        ticks = np.arange(max(2, int(octave[0])), octave[1] + 0.01, 2)
        names = [f"{2**tick:.0f}" for tick in ticks]
        axes.set_xticks(ticks, names)
        axes.set_yticks(ticks, names)
        axes.set_xlim(2, octave[1])
        axes.set_ylim(2, octave[1])
        axes.set_xlabel("width")
        axes.set_ylabel("height")

    return _svg(draw, label, width=2.2, height=2.1)


# --- parts ------------------------------------------------------------------------------------


def _draw_steps(
    axes: Axes, histogram: Histogram, names: Sequence[str], edges: np.ndarray, first: int
) -> None:
    for name in names:
        counts = histogram.counts[name]
        colour, _, line = _SERIES[name]
        shares = np.array(counts[first:]) / max(sum(counts), 1)
        axes.stairs(shares, edges[first:], color=colour, alpha=0.12, fill=True)
        axes.stairs(shares, edges[first:], color=colour, linestyle=line, linewidth=1.6, label=name)
    axes.set_ylim(0)
    _share_axis(axes, "share of windows")
    _legend(axes, len(names))


def _heat(table: np.ndarray) -> np.ndarray:
    """RGBA uint8 ``[rows, columns, 4]``: one colour, opacity by the square root of the value."""
    image = np.zeros((*table.shape, 4), np.uint8)
    image[..., :3] = _HEAT
    top = table.max()
    if top > 0:
        image[..., 3] = np.round(255 * np.sqrt(table / top))
    return image


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelcolor=_INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)


def _log_ticks(axes: Axes, which: str) -> None:
    """Decades, and 2 and 5 between them where the axis spans less than two decades."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    wide = high / max(low, 1e-12) > 300
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=9))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if value < 1000 else short(value))
    )
    axis.set_minor_locator(NullLocator())


def _share_axis(axes: Axes, name: str) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=_ROUND))
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.set_ylabel(name)


def _percent(value: float, _: int) -> str:
    return f"{100 * value:.3g} %"


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0,
        borderpad=0.2,
        handlelength=1.8,
        columnspacing=1.2,
    )


def _svg(
    draw: Callable[[Axes], None], label: str, *, width: float = 4.3, height: float = 2.5
) -> str:
    """Draw one pair of axes and return the SVG element, ``width`` by ``height`` inches of 72 units.

    ``label`` is what a screen reader says.
    """
    with mpl.rc_context(chart_style(_INK, _MUTED, _RULE, label)):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # What would reach beyond the figure once it stands inside a page: rules, fonts, repeated ids.
    text = re.sub(r"<(metadata|title|style)\b.*?</\1>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r"\s*\n\s*", "\n", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    box = f"0 0 {width * 72:g} {height * 72:g}"
    head = f'<svg class="chart" role="img" aria-label="{escape(label)}" viewBox="{box}">'
    return re.sub(r"<svg\b.*?>", lambda _: head, text, count=1, flags=re.S).strip()
