"""A protocol's numbers from ranked detections, for any weighting of the recordings.

With every weight 1 they are those of :func:`dmanet.evaluation.coco.coco_result` and
:func:`dmanet.evaluation.release.release_result`; with other weights those of the same recordings taken
so many times.
"""

from collections.abc import Sequence

import numpy as np

from dmanet.evaluation.motion import STRATA
from dmanet.evaluation.precision_kernels import coco_precision, release_curves, release_precision
from dmanet.evaluation.protocols import Protocol
from dmanet.evaluation.ranking import RECALL_LIMITS, Ranking
from dmanet.evaluation.sizes import SIZE_RANGES

_RECALLS = np.linspace(0, 1, 101)
_CONFIDENCES = np.linspace(0, 1, 1000)
_TINY = 1e-16  # of dmanet.evaluation.release
_CHUNK = 32  # draws whose curves are held at a time
_SIZES = {size.name: s for s, size in enumerate(SIZE_RANGES)}


def headline(
    rankings: Sequence[Ranking],
    names: Sequence[str],
    weights: np.ndarray,
    protocol: Protocol,
) -> dict[str, np.ndarray]:
    """Every number of a result, for each weighting.

    Args:
        rankings: of each class.
        names: of the classes.
        weights: int64 ``[B, R]``, how often each recording counts.
        protocol: whose definitions.

    Returns:
        float64 ``[B]`` by key; NaN where there is nothing to score: ``all.map50``, ``car.map50_95``,
        with ``precision`` and ``recall`` where the protocol has them, ``summary.AP75`` where it has
        a summary, ``size.small.map50`` for each range of sizes but all, and ``motion.resting.map50``
        for each stratum of motion that has labels.
    """
    coco = protocol.average_precision == "coco"
    kernel = coco_precision if coco else release_precision
    positives = np.stack([ranking.positives @ weights.T for ranking in rankings])  # [K, S, B]
    ap = np.stack(
        [
            [
                kernel(ranking.recording, ranking.run, ranking.state[s], weights, counts, _RECALLS)
                for s, counts in enumerate(own)
            ]
            for ranking, own in zip(rankings, positives, strict=True)
        ]
    )  # [K, S, B, T]
    numbers = {
        "all.map50": _mean(ap[:, 0, :, 0], axis=0),
        "all.map50_95": _mean(ap[:, 0], axis=(0, 2)),
    }
    if coco:
        numbers |= _summary(rankings, weights, positives, ap)
    else:
        numbers |= _operating_point(rankings, names, weights, positives[:, 0])
    for k, name in enumerate(names):
        numbers[f"{name}.map50"] = ap[k, 0, :, 0]
        numbers[f"{name}.map50_95"] = ap[k, 0].mean(axis=1)
    for name, s in _SIZES.items():
        if s:
            numbers[f"size.{name}.map50"] = _mean(ap[:, s, :, 0], axis=0)
            numbers[f"size.{name}.map50_95"] = _mean(ap[:, s], axis=(0, 2))
    for s, stratum in enumerate(STRATA, start=len(SIZE_RANGES)):
        if any(ranking.positives[s].any() for ranking in rankings):
            numbers[f"motion.{stratum.name}.map50"] = _mean(ap[:, s, :, 0], axis=0)
            numbers[f"motion.{stratum.name}.map50_95"] = _mean(ap[:, s], axis=(0, 2))
    return numbers


def _summary(
    rankings: Sequence[Ranking], weights: np.ndarray, positives: np.ndarray, ap: np.ndarray
) -> dict[str, np.ndarray]:
    """COCO's twelve numbers."""
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.stack(
            [
                (ranking.right @ weights.T) / own[:, None, None]  # [S, T, L, B]
                for ranking, own in zip(rankings, positives, strict=True)
            ]
        )  # [K, S, T, L, B]
    numbers = {
        "summary.AP": _mean(ap[:, 0], axis=(0, 2)),
        "summary.AP50": _mean(ap[:, 0, :, 0], axis=0),
        "summary.AP75": _mean(ap[:, 0, :, 5], axis=0),
    }
    for name in ("small", "medium", "large"):
        numbers[f"summary.AP_{name}"] = _mean(ap[:, _SIZES[name]], axis=(0, 2))
    for limit_place, limit in enumerate(RECALL_LIMITS):
        numbers[f"summary.AR_{limit}"] = _mean(recall[:, 0, :, limit_place], axis=(0, 1))
    for name in ("small", "medium", "large"):
        numbers[f"summary.AR_{name}"] = _mean(recall[:, _SIZES[name], :, -1], axis=(0, 1))
    return numbers


def _operating_point(
    rankings: Sequence[Ranking], names: Sequence[str], weights: np.ndarray, positives: np.ndarray
) -> dict[str, np.ndarray]:
    """Precision and recall at the confidence of the largest mean F1, as the release has it.

    Args:
        rankings: of each class.
        names: of the classes.
        weights: int64 ``[B, R]``.
        positives: int64 ``[K, B]``.
    """
    found = np.full((2, len(rankings), len(weights)), np.nan)
    for start in range(0, len(weights), _CHUNK):
        draws = slice(start, start + _CHUNK)
        curves = np.stack(
            [
                release_curves(
                    ranking.recording,
                    ranking.run,
                    ranking.state[0, 0],
                    ranking.scores,
                    weights[draws],
                    own[draws],
                    _CONFIDENCES,
                )
                for ranking, own in zip(rankings, positives, strict=True)
            ]
        )  # [K, B, 2, C]
        precision, recall = curves[:, :, 0], curves[:, :, 1]
        f1 = 2 * precision * recall / (precision + recall + _TINY)
        present = np.maximum((positives[:, draws] > 0).sum(axis=0), 1)  # absent classes add 0
        best = (f1.sum(axis=0) / present[:, None]).argmax(axis=1)
        at = curves[:, np.arange(len(best)), :, best].transpose(2, 1, 0)  # [2, K, B]
        found[:, :, draws] = np.where(positives[:, draws] > 0, at, np.nan)
    numbers = {}
    for values, what in zip(found, ("precision", "recall"), strict=True):
        numbers[f"all.{what}"] = _mean(values, axis=0)
        numbers |= {f"{name}.{what}": values[k] for k, name in enumerate(names)}
    return numbers


def _mean(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """The mean over what is a number; NaN where nothing is."""
    there = ~np.isnan(values)
    counts = there.sum(axis=axis)
    return np.where(
        counts > 0, np.where(there, values, 0).sum(axis=axis) / np.maximum(counts, 1), np.nan
    )
