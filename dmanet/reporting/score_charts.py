"""The figures of a score as SVG text, one function a figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dmanet.evaluation.details import Calibration, Confusion, Curves, Interval
from dmanet.reporting.run_charts import STYLES
from pipeline.report.chart_parts import FIRST, INK, MUTED, SECOND, heat, legend, name_rows, svg
from pipeline.text import short

_STRONGEST = 0.55  # of a cell's colour, so that its number can be read in light and dark


def precision_recall(curves: Curves, classes: Sequence[str], label: str) -> str:
    """Precision over recall of some classes; the dot stands at the operating score."""
    at = int(np.abs(np.array(curves.scores) - curves.operating_score).argmin())

    def draw(axes: Axes) -> None:
        chosen = [curve for curve in curves.classes if curve.name in classes]
        for (colour, line), curve in zip(STYLES, chosen, strict=False):
            recall, precision = (np.array(v, float) for v in (curve.recall, curve.precision))
            axes.plot(recall, precision, color=colour, linestyle=line, label=curve.name)
            axes.plot(recall[at], precision[at], "o", color=colour, markersize=5)
        _unit_square(axes, "recall", "precision")
        legend(axes, 3)

    return svg(draw, label, height=2.5 + _legend_rows(len(classes)))


def f1_over_score(curves: Curves, classes: Sequence[str], label: str) -> str:
    """F1 over the score of some classes, with the operating score."""

    def draw(axes: Axes) -> None:
        chosen = [curve for curve in curves.classes if curve.name in classes]
        for (colour, line), curve in zip(STYLES, chosen, strict=False):
            values = np.array(curve.f1, float)
            axes.plot(curves.scores, values, color=colour, linestyle=line, label=curve.name)
        axes.axvline(curves.operating_score, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        _unit_square(axes, "score", "F1")
        legend(axes, 3)

    return svg(draw, label, height=2.5 + _legend_rows(len(classes)))


def reliability(calibration: Calibration, label: str) -> str:
    """Share of right detections over their mean score; below, how many detections."""
    bins = [one for one in calibration.bins if one.detections]
    most = max((one.detections for one in bins), default=1)

    def draw(axes: Axes) -> None:
        for one in bins:
            axes.bar(
                (one.lower + one.upper) / 2,
                0.25 * one.detections / most,
                width=0.9 * (one.upper - one.lower),
                color=MUTED,
                alpha=0.3,
            )
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)), label="ideal")
        axes.plot(
            np.array([one.mean_score for one in bins], float),
            np.array([one.precision for one in bins], float),
            "o-",
            color=FIRST,
            markersize=5,
            label="found",
        )
        _unit_square(axes, "mean score", "share that is right")
        legend(axes, 2)

    return svg(draw, label)


def confusion_table(confusion: Confusion, used: Sequence[int], label: str) -> str:
    """Counts in cells, a row for each label's class; the colour is the share of its row."""
    names = [confusion.names[k] for k in used]
    counts = np.array([[confusion.counts[k][j] for j in used] for k in used], float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 8.5 if len(names) <= 6 else 6.5

    def draw(axes: Axes) -> None:
        image = heat(shares)
        image[..., 3] = (image[..., 3] * _STRONGEST).astype(np.uint8)
        axes.imshow(image, interpolation="none", aspect="auto")
        axes.grid(visible=False)
        for (row, column), count in np.ndenumerate(counts):
            axes.text(column, row, short(count), ha="center", va="center", color=INK, fontsize=size)
        name_rows(axes, names)
        turned = len(names) > 3
        axes.set_xticks(range(len(names)), names, rotation=35 if turned else 0)
        for tick in axes.get_xticklabels():
            tick.set_horizontalalignment("right" if turned else "center")
        axes.tick_params(axis="x", length=0)
        axes.set_xlabel("found as")
        axes.set_ylabel("label")

    return svg(draw, label, height=1.2 + 0.32 * len(names))


def counts_of_kinds(counts: Mapping[str, int], label: str) -> str:
    """A bar for each kind with its count."""
    names = list(counts)

    def draw(axes: Axes) -> None:
        colours = [FIRST if name == "right" else SECOND for name in names]
        bars = axes.barh(range(len(names)), list(counts.values()), color=colours, height=0.62)
        axes.bar_label(bars, [short(n) for n in counts.values()], color=MUTED, padding=3)
        name_rows(axes, names)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.15)
        axes.set_xlabel("boxes")

    return svg(draw, label, height=0.8 + 0.26 * len(names))


def values_with_intervals(
    rows: Mapping[str, tuple[float, Interval | None]], unit: str, label: str
) -> str:
    """A dot for each row, with its interval."""
    names = list(rows)

    def draw(axes: Axes) -> None:
        for k, (value, interval) in enumerate(rows.values()):
            if interval is not None:
                axes.hlines(k, interval.low, interval.high, color=FIRST, linewidth=3, alpha=0.35)
            axes.plot(value, k, "o", color=FIRST, markersize=5)
        name_rows(axes, names)
        axes.set_xlim(0, 1)
        axes.set_xlabel(unit)

    return svg(draw, label, height=0.8 + 0.26 * len(names))


def ordered_values(values: Sequence[float], unit: str, label: str) -> str:
    """Values from the least to the largest."""

    def draw(axes: Axes) -> None:
        size = 4.5 if len(values) <= 60 else 2.5
        axes.plot(range(1, len(values) + 1), sorted(values), "o", color=FIRST, markersize=size)
        axes.set_xlim(0.5, len(values) + 0.5)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("recordings, low to high")
        axes.set_ylabel(unit)

    return svg(draw, label)


def _unit_square(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _legend_rows(series: int) -> float:
    """Inches that a legend in three columns takes beyond its first row."""
    return 0.17 * ((series - 1) // 3)
