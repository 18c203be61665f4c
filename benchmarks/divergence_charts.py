"""The figures of `docs/stability.md`, as SVG files on white."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.chart_parts import chart_style

_INK, _MUTED, _RULE = "#1b2230", "#586274", "#d5d9e0"
_OURS, _RELEASE, _THIRD = "#1f6fb8", "#c2570c", "#0e7f63"
_LARGEST_FLOAT16 = 65_504.0
_DASHED, _DOTTED = (0, (4, 1.5)), (0, (1.2, 1.2))


def draw_all(results: dict[str, Any], folder: Path) -> None:
    """Write every figure of the results of `benchmarks.divergence` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    probes = results["probes"]
    _save(folder / "similarity-gradient.svg", lambda a: _similarity(a, probes["similarity"]))
    _save(folder / "focal-gradient.svg", lambda a: _focal(a, probes["focal"]))
    _save(folder / "cell.svg", lambda a: _cell(a, probes["cell"]))
    variants = len({row["run"]["label"] for row in results["ablation"]})
    _save(
        folder / "ablation.svg",
        lambda a: _ablation(a, results["ablation"]),
        size=(6.2, 0.7 + 0.22 * variants),
    )
    _save(folder / "survival.svg", lambda a: _survival(a, results["survival"]))
    _save(folder / "knocked.svg", lambda a: _losses(a, results["knocked"], ("label",)))
    _save(folder / "rates.svg", lambda a: _rates(a, results["rates"]))
    _save(folder / "fading.svg", lambda a: _fading(a, results["fading"]))


def _similarity(axes: Axes, probe: dict[str, Any]) -> None:
    norms = np.array(probe["norms"])
    for key, colour, line in (
        ("released fp32", _RELEASE, "-"),
        ("released fp16", _RELEASE, _DOTTED),
        ("ours fp32", _OURS, "-"),
        ("ours fp16", _OURS, _DOTTED),
    ):
        values = np.array([math.nan if v is None else v for v in probe[key]])
        axes.plot(norms, np.where(values > 0, values, np.nan), color=colour, ls=line, label=key)
        lost = np.isnan(values)
        if lost.any():
            axes.plot(
                norms[lost], np.full(lost.sum(), 3e7), "x", color=colour, label=f"{key}: no number"
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("length of the embedding")
    axes.set_ylabel("largest gradient")
    _legend(axes)


def _focal(axes: Axes, probe: dict[str, Any]) -> None:
    axes.plot(probe["logits"], probe["clamped"], color=_RELEASE, label="clamped probabilities")
    axes.plot(probe["logits"], probe["ours"], color=_OURS, ls=_DASHED, label="from logits")
    axes.set_xlabel("logit of a background anchor")
    axes.set_ylabel("gradient")
    _legend(axes)


def _cell(axes: Axes, series: dict[str, list[float]]) -> None:
    for (name, values), colour, line in zip(
        series.items(), (_RELEASE, _THIRD, _OURS), ("-", _DOTTED, _DASHED), strict=True
    ):
        axes.plot(10 * np.arange(1, len(values) + 1), values, color=colour, ls=line, label=name)
    axes.set_ylim(0)
    axes.set_xlabel("windows")
    axes.set_ylabel("largest |cell|")
    _legend(axes)


def _ablation(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    labels = list(dict.fromkeys(row["run"]["label"] for row in rows))
    for place, label in enumerate(labels):
        mine = [row for row in rows if row["run"]["label"] == label]
        share = float(np.mean([row["lost"] / row["steps"] for row in mine]))
        axes.barh(place, share, color=_RELEASE, height=0.6)
        axes.plot(0, place, "o", color=_RELEASE if share else _OURS, ms=5, clip_on=False)
    axes.set_yticks(range(len(labels)), labels, color=_INK)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of steps lost to gradients that are no numbers")


def _survival(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys((r["run"]["label"], r["run"]["precision"]) for r in rows))
    for row in rows:
        run = row["run"]
        place, lost = names.index((run["label"], run["precision"])), row["lost"] / row["steps"]
        stuck = row["lost_at_end"] == min(10, row["steps"])
        colour = _RELEASE if stuck else _OURS
        axes.plot(run["embedding_norm"], place, "X" if stuck else "o", color=colour, ms=8)
        if lost:
            axes.annotate(
                f"{lost:.0%}", (run["embedding_norm"], place), (0, 7), textcoords="offset points",
                ha="center", fontsize=7.5, color=_MUTED,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), [" ".join(name) for name in names], color=_INK)
    axes.set_ylim(len(names) - 0.4, -0.8)
    axes.margins(x=0.1)
    axes.set_xlabel("median length of the embeddings at the start")


def _losses(axes: Axes, rows: Sequence[dict[str, Any]], keys: Iterable[str]) -> None:
    for row, colour, line in zip(rows, (_RELEASE, _OURS), ("-", _DASHED), strict=True):
        label = " ".join(str(row["run"][key]) for key in keys)
        axes.plot(row["trace"]["loss"], color=colour, ls=line, label=label)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    _legend(axes)


def _rates(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    for label, colour, line in (("release", _RELEASE, "-"), ("ours", _OURS, _DASHED)):
        mine = [row for row in rows if row["run"]["label"] == label]
        rates = [row["run"]["learning_rate"] for row in mine]
        logits = [row["largest_logit"] for row in mine]
        axes.plot(rates, logits, "o", color=colour, ls=line, label=label)
    axes.axhline(_LARGEST_FLOAT16, color=_MUTED, lw=1, ls=_DOTTED, label="largest float16")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("learning rate, float32")
    axes.set_ylabel("largest |logit|")
    _legend(axes)


def _fading(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    for row, colour, line in zip(
        rows, (_OURS, _RELEASE, _THIRD), ("-", _DASHED, _DOTTED), strict=True
    ):
        values = np.array(row["trace"]["quietest"])
        axes.plot(np.where(values > 0, values, np.nan), color=colour, ls=line,
                  label=row["run"]["label"])  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("shortest embedding of a batch")
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0, borderpad=0.2)


def _save(path: Path, draw: Callable[[Axes], None], size: tuple[float, float] = (5.2, 3.0)) -> None:
    with mpl.rc_context(chart_style(_INK, _MUTED, _RULE, "stability")):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(path, format="svg", metadata={"Date": None})
