"""Whether a score of 0.7 means that seven of ten such detections are right.

Reliability bins and the expected calibration error (Naeini et al. 2015; Guo et al. 2017,
arXiv:1706.04599), of detections as in Küppers et al. 2020 (arXiv:2004.13546): a detection is right where
the protocol gives it a label at overlap 0.5, and all that pass the protocol's score threshold count.
"""

from collections.abc import Sequence

import numpy as np

from dmanet.evaluation.details import Calibration, ReliabilityBin
from dmanet.evaluation.ranking import Ranking
from dmanet.evaluation.window_matches import IGNORED, RIGHT

_BINS = 10


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
