"""The figures of a run's training as SVG text, one function a figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipeline.report.chart_parts import FIRST, MUTED, SECOND, THIRD, legend, log_ticks, svg

_COLOURS = (FIRST, SECOND, THIRD)
_LINES = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)))
#: Colour and line of the first, second, … series; never told apart by colour alone.
STYLES = tuple((_COLOURS[k % 3], _LINES[(k + k // 3) % 3]) for k in range(9))
_POINTS = 150  # of a line; more steps are joined
_WIDE = 30.0  # times the smallest value: from there on the axis is logarithmic


def over_steps(
    series: Mapping[str, Sequence[float | None]],
    steps: Sequence[int],
    unit: str,
    label: str,
    *,
    limit: float | None = None,
    logarithmic: bool = True,
    resumed: Sequence[int] = (),
) -> str:
    """Lines over the steps: means of neighbours, in a band from their smallest to their largest.

    Args:
        series: by name; None has no place.
        steps: of the values.
        unit: title of the y axis.
        label: what a screen reader says.
        limit: a level to mark.
        logarithmic: whether a wide range may have a logarithmic axis.
        resumed: steps at which the run went on, marked.
    """
    joined = {name: _joined(steps, values) for name, values in series.items()}
    found = np.concatenate([line[2:].ravel() for line in joined.values()])

    def draw(axes: Axes) -> None:
        for (colour, style), (name, (place, mean, low, high)) in zip(
            STYLES, joined.items(), strict=False
        ):
            axes.fill_between(place, low, high, color=colour, alpha=0.15, linewidth=0)
            marker = "o" if len(place) == 1 else None
            axes.plot(
                place, mean, color=colour, linestyle=style, label=name, marker=marker, markersize=4
            )
        for step in resumed:
            axes.axvline(step, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        if limit is not None:
            axes.axhline(limit, color=MUTED, linewidth=1, linestyle=(0, (5, 2)), label="cut above")
        if logarithmic and len(found) and found.min() > 0 and found.max() > _WIDE * found.min():
            axes.set_yscale("log")
            axes.margins(y=0.05)
            log_ticks(axes, "y")
        else:
            axes.set_ylim(0)
            axes.ticklabel_format(axis="y", style="plain", useOffset=False)
        _step_axis(axes)
        axes.set_ylabel(unit)
        if len(series) + (limit is not None) > 1:
            legend(axes, 4)

    return svg(draw, label)


def scores_of_epochs(
    steps: Sequence[int], scores: Sequence[float], best: Sequence[bool], unit: str, label: str
) -> str:
    """A dot for each scored epoch, filled where it was the best so far."""

    def draw(axes: Axes) -> None:
        axes.plot(steps, scores, color=FIRST, linewidth=1.2, alpha=0.6)
        for is_best, name, face in ((True, "best so far", FIRST), (False, "other epochs", "none")):
            chosen = [(x, y) for x, y, b in zip(steps, scores, best, strict=True) if b is is_best]
            if chosen:
                axes.plot(
                    *zip(*chosen, strict=True),
                    "o",
                    markersize=5,
                    markeredgecolor=FIRST,
                    markerfacecolor=face,
                    label=name,
                )
        axes.set_ylim(0, max([*scores, 0]) * 1.1 or 1)
        _step_axis(axes)
        axes.set_ylabel(unit)
        legend(axes, 2)

    return svg(draw, label)


def _step_axis(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("step")


def _joined(steps: Sequence[int], values: Sequence[float | None]) -> np.ndarray:
    """Place, mean, smallest and largest of neighbours, float64 ``[4, at most _POINTS]``."""
    there = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    if not there:
        return np.zeros((4, 0))
    x, y = np.array(there, float).T
    starts = np.unique(np.linspace(0, len(x), min(len(x), _POINTS), endpoint=False).astype(int))
    counts = np.diff([*starts, len(x)])
    return np.stack(
        [
            np.add.reduceat(x, starts) / counts,
            np.add.reduceat(y, starts) / counts,
            np.minimum.reduceat(y, starts),
            np.maximum.reduceat(y, starts),
        ]
    )
