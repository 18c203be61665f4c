"""Whether a score of 0.7 means that seven of ten such detections are right.

Reliability bins and the expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599),
of detections as in Küppers et al. 2020 (arXiv:2004.13546): a detection is right where the protocol gives it
a label at overlap 0.5, and all that pass the protocol's score threshold count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmanet.evaluation.ranking import Ranking
from dmanet.evaluation.window_matches import IGNORED, RIGHT

_BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Detections of similar score.

    Attributes:
        lower: least score, excluded but in the first bin.
        upper: largest score, included.
        detections: in it.
        mean_score: of them; None without any.
        precision: share of them that is right; None without any.
    """

    lower: float
    upper: float
    detections: int
    mean_score: float | None
    precision: float | None


@dataclass(frozen=True)
class Calibration:
    """Scores beside what came true.

    Attributes:
        bins: of equal width, ascending.
        expected_error: mean distance of score and precision over the detections (ECE); None without any.
        largest_error: of a bin.
    """

    bins: tuple[ReliabilityBin, ...]
    expected_error: float | None
    largest_error: float | None


def calibration_of(rankings: Sequence[Ranking]) -> Calibration:
    """The calibration of all classes' detections together."""
    states = [ranking.state[0, 0] for ranking in rankings]
    pairs = list(zip(rankings, states, strict=True))
    scores = np.concatenate([np.zeros(0), *(r.scores[s != IGNORED] for r, s in pairs)])
    right = np.concatenate([np.zeros(0, bool), *(s[s != IGNORED] == RIGHT for s in states)])
    edges = np.arange(_BINS + 1) / _BINS
    places = np.clip(np.searchsorted(edges, scores, side="left") - 1, 0, _BINS - 1)
    counts = np.bincount(places, minlength=_BINS)
    sums = np.bincount(places, scores, minlength=_BINS)
    rights = np.bincount(places, right, minlength=_BINS)
    bins = tuple(
        ReliabilityBin(
            float(edges[k]),
            float(edges[k + 1]),
            int(n),
            float(sums[k] / n) if n else None,
            float(rights[k] / n) if n else None,
        )
        for k, n in enumerate(counts)
    )
    if not len(scores):
        return Calibration(bins, None, None)
    gaps = np.abs(sums - rights)
    return Calibration(
        bins,
        float(gaps.sum() / len(scores)),
        float((gaps[counts > 0] / counts[counts > 0]).max()),
    )
