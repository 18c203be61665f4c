"""What is wrong with detections that are wrong, and which labels are missed.

After TIDE (Bolya et al. 2020, arXiv:2008.08115), with its thresholds: an overlap of 0.5 is enough to be
right, one of 0.1 to have meant the label. What is counted are the detections that reach a score; of one
that is not right, the first that holds is its kind:

- ``poor box``: it overlaps a label of its class by 0.1 to 0.5 and none of its class more;
- ``wrong class``: it overlaps a label of another class by 0.5 or more;
- ``duplicate``: it overlaps a label of its class by 0.5 or more that a better detection has;
- ``background``: it overlaps no label by more than 0.1;
- ``wrong class and poor box``: what is left, an overlap of 0.1 to 0.5 with another class's label.

A label is ``missed`` where no detection is right and none with a poor box or the wrong class meant it.
"""

from dataclasses import dataclass

import numpy as np

from dmanet.evaluation.window_matches import RIGHT, Matches

POOR_BOX, WRONG_CLASS, DUPLICATE, BACKGROUND, BOTH = range(5)
KINDS = ("poor box", "wrong class", "duplicate", "background", "wrong class and poor box")
MISSED = "missed"
_ENOUGH, _MEANT = 0.5, 0.1


@dataclass(frozen=True)
class Errors:
    """The errors of one recording at a score.

    Attributes:
        rows: int64 ``[e]``, detections that reach the score and are not right.
        kinds: int64 ``[e]``, places in :data:`KINDS`.
        missed: bool ``[M]``, of the labels.
        right: int64 ``[r]``, detections that reach the score and are right.
    """

    rows: np.ndarray
    kinds: np.ndarray
    missed: np.ndarray
    right: np.ndarray


def errors_of(matches: Matches, score: float) -> Errors:
    """The errors of the detections whose score is at least ``score``."""
    found, true, pairs = matches.recording.found, matches.recording.true, matches.pairs
    reached = found.scores >= score
    right = reached & (matches.state[0, 0] == RIGHT)
    has_label = np.zeros(len(true), bool)
    has_label[matches.label[right]] = True
    same = found.classes[pairs.detection] == true.classes[pairs.label]
    own, own_label = _most(matches, same)
    other, other_label = _most(matches, ~same)
    taken, _ = _most(matches, same & has_label[pairs.label])
    most = np.maximum(own, other)
    kind = np.select(
        [
            (own >= _MEANT) & (own <= _ENOUGH),
            other >= _ENOUGH,
            taken >= _ENOUGH,
            most <= _MEANT,
        ],
        [POOR_BOX, WRONG_CLASS, DUPLICATE, BACKGROUND],
        BOTH,
    )
    rows = np.flatnonzero(reached & ~right)
    meant = has_label.copy()
    meant[own_label[rows[kind[rows] == POOR_BOX]]] = True
    meant[other_label[rows[kind[rows] == WRONG_CLASS]]] = True
    return Errors(rows, kind[rows], ~meant, np.flatnonzero(right))


def _most(matches: Matches, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest overlap of each detection among some pairs, and its label, the first of equal ones.

    Returns:
        float64 ``[n]``, 0 without any, and int64 ``[n]``, 0 without any.
    """
    detection, label, overlap = (
        values[among]
        for values in (matches.pairs.detection, matches.pairs.label, matches.pairs.overlap)
    )
    most, of = np.zeros(len(matches.recording.found)), np.zeros(len(matches.recording.found), int)
    order = np.lexsort((-label, overlap, detection))  # the last of a detection is its largest
    most[detection[order]] = overlap[order]
    of[detection[order]] = label[order]
    return most, of
