"""Which class is taken for which, with background for what has no counterpart.

In each window detections that reach a score and labels of any class are paired one to one, the largest
overlap first, down to 0.5; of equal overlaps a pair of one class goes first.
"""

from collections.abc import Sequence

import numpy as np

from dmanet.evaluation.details import Confusion
from dmanet.evaluation.window_matches import Matches

BACKGROUND = "background"
_ENOUGH = 0.5


def confusion_of(matches: Sequence[Matches], names: Sequence[str], score: float) -> Confusion:
    """The matrix of the detections whose score is at least ``score``."""
    size = len(names) + 1
    counts = np.zeros((size, size), np.int64)
    for one in matches:
        found, true = one.recording.found, one.recording.true
        label_of = _paired(one, score)
        reached = found.scores >= score
        paired = np.flatnonzero(label_of >= 0)
        np.add.at(counts, (true.classes[label_of[paired]], found.classes[paired]), 1)
        np.add.at(counts[-1], found.classes[reached & (label_of < 0)], 1)
        alone = np.ones(len(true), bool)
        alone[label_of[paired]] = False
        np.add.at(counts[:, -1], true.classes[alone], 1)
    return Confusion((*names, BACKGROUND), tuple(map(tuple, counts.tolist())))


def _paired(matches: Matches, score: float) -> np.ndarray:
    """The label of each detection, −1 for none: int64 ``[n]``."""
    found, true, pairs = matches.recording.found, matches.recording.true, matches.pairs
    near = np.flatnonzero((pairs.overlap >= _ENOUGH) & (found.scores[pairs.detection] >= score))
    detection, label = pairs.detection[near], pairs.label[near]
    other = found.classes[detection] != true.classes[label]
    order = np.lexsort((label, detection, other, -pairs.overlap[near]))
    label_of, taken = np.full(len(found), -1), np.zeros(len(true), bool)
    for d, g in zip(detection[order].tolist(), label[order].tolist(), strict=True):
        if label_of[d] < 0 and not taken[g]:
            label_of[d], taken[g] = g, True
    return label_of
