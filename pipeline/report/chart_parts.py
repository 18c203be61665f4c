"""What the report's figures share: colours, axes, and SVG text in the page's own colours and font.

Figures are small, so that a phone shows them near their own size. Colours are CSS variables of the
page: matplotlib draws with stand-in colours, which :func:`svg` replaces.
"""

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from pipeline.statistics.schema import Histogram
from pipeline.text import short

INK, MUTED, RULE = "#010101", "#020202", "#030303"
FIRST, SECOND, THIRD = "#040404", "#050505", "#060606"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
}
_HEAT = (0x2B, 0x7B, 0xC4)  # an image cannot follow the page's colours: a blue for both modes

#: Colour, marker and line of a series; never told apart by colour alone.
SERIES = {
    "train": (FIRST, "o", "-"),
    "val": (SECOND, "D", (0, (4, 1.5))),
    "test": (THIRD, "s", (0, (1.2, 1.2))),
    "negative": (FIRST, "o", "-"),
    "positive": (SECOND, "D", (0, (4, 1.5))),
    "track": (FIRST, "o", "-"),
    "width": (FIRST, "o", "-"),
    "height": (SECOND, "D", "-"),
    "on the sensor": (FIRST, "o", "-"),
    "on the grid": (SECOND, "D", "-"),
    "release": (FIRST, "o", "-"),
    "suggested": (SECOND, "D", "-"),
    "this": (FIRST, "o", "-"),
    "other": (SECOND, "D", (0, (4, 1.5))),
}
ROUND = (1, 2, 2.5, 5, 10)  # steps of ticks in percent


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


def draw_steps(
    axes: Axes, histogram: Histogram, names: Sequence[str], edges: np.ndarray, first: int
) -> None:
    """Step lines over bins, a line for each of ``names``, from bin ``first`` on."""
    for name in names:
        counts = histogram.counts[name]
        colour, _, line = SERIES[name]
        shares = np.array(counts[first:]) / max(sum(counts), 1)
        axes.stairs(shares, edges[first:], color=colour, alpha=0.12, fill=True)
        axes.stairs(shares, edges[first:], color=colour, linestyle=line, linewidth=1.6, label=name)
    axes.set_ylim(0)
    share_axis(axes, "share of windows")
    legend(axes, len(names))


def heat(table: np.ndarray) -> np.ndarray:
    """RGBA uint8 ``[rows, columns, 4]``: one colour, opacity by the square root of the value."""
    image = np.zeros((*table.shape, 4), np.uint8)
    image[..., :3] = _HEAT
    top = table.max()
    if top > 0:
        image[..., 3] = np.round(255 * np.sqrt(table / top))
    return image


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """One row of the y axis for each name, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)


def log_ticks(axes: Axes, which: str) -> None:
    """Decades, and 2 and 5 between them where the axis spans less than two decades."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    wide = high / max(low, 1e-12) > 300
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=9))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if value < 1000 else short(value))
    )
    axis.set_minor_locator(NullLocator())


def share_axis(axes: Axes, name: str) -> None:
    """A y axis in percent, called ``name``."""
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
    axes.yaxis.set_major_formatter(FuncFormatter(percent))
    axes.set_ylabel(name)


def percent(value: float, _: int) -> str:
    """A tick of an axis in percent; ``value`` is a share."""
    return f"{100 * value:.3g} %"


def legend(axes: Axes, columns: int) -> None:
    """A legend above the axes, in so many columns."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0,
        borderpad=0.2,
        handlelength=1.8,
        columnspacing=1.2,
    )


def svg(
    draw: Callable[[Axes], None], label: str, *, width: float = 4.3, height: float = 2.5
) -> str:
    """Draw one pair of axes and return the SVG element, ``width`` by ``height`` inches of 72 units.

    ``label`` is what a screen reader says.
    """
    with mpl.rc_context(chart_style(INK, MUTED, RULE, label)):
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
