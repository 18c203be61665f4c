"""Precision, recall and F1 over the score that detections must reach, at overlap 0.5."""

from collections.abc import Sequence

import numpy as np

from dmanet.evaluation.details import Curve, Curves
from dmanet.evaluation.ranking import Ranking
from dmanet.evaluation.window_matches import IGNORED, RIGHT

_STEPS = 1000  # between the scores that are tried for the best one
_KEPT = 20  # every so many of them are kept


def curves_of(rankings: Sequence[Ranking], names: Sequence[str]) -> Curves:
    """The curves of ranked detections."""
    scores = np.arange(_STEPS + 1) / _STEPS
    counted = [_counts(ranking, scores) for ranking in rankings]
    labels = [int(ranking.positives[0].sum()) for ranking in rankings]
    f1 = [_f1(right, total, n) for (right, total), n in zip(counted, labels, strict=True)]
    present = [k for k, n in enumerate(labels) if n]
    best = int(np.mean([f1[k] for k in present], axis=0).argmax()) if present else 0
    classes = []
    for name, (right, total), n, own in zip(names, counted, labels, f1, strict=True):
        with np.errstate(invalid="ignore", divide="ignore"):
            precision, recall = right / total, right / n if n else np.full(len(right), np.nan)
        defined = np.where(np.isnan(precision) | np.isnan(recall), np.nan, own)
        classes.append(
            Curve(
                name,
                precision=_thinned(precision),
                recall=_thinned(recall),
                f1=_thinned(defined),
                best_score=float(scores[own.argmax()]) if n else None,
                best_f1=float(own.max()) if n else None,
            )
        )
    return Curves(tuple(scores[::_KEPT].tolist()), float(scores[best]), tuple(classes))


def _counts(ranking: Ranking, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Detections that reach each score, and those of them that are right: int64, right first."""
    state = ranking.state[0, 0]
    kept = ranking.scores[state != IGNORED][::-1]
    right = ranking.scores[state == RIGHT][::-1]
    return (
        len(right) - np.searchsorted(right, scores, side="left"),
        len(kept) - np.searchsorted(kept, scores, side="left"),
    )


def _f1(right: np.ndarray, total: np.ndarray, labels: int) -> np.ndarray:
    return 2 * right / np.maximum(total + labels, 1)


def _thinned(values: np.ndarray) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(v) else round(v, 6) for v in values[::_KEPT].tolist())
