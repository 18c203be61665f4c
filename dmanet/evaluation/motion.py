"""Strata of labels by their motion, and by how long they have been at rest."""

from dataclasses import dataclass

import numpy as np

from dmanet.evaluation.prophesee import BOX_DTYPE
from dmanet.evaluation.scored import Pairs, ScoredRecording, WindowBoxes
from pipeline.release.motion import MOVING, NEVER_MOVED, RESTING, SLOW, BoxMotion, box_motion

#: Up to this overlap a detection means no label (as :mod:`dmanet.evaluation.error_kinds` has it).
MEANS_NONE = 0.1


@dataclass(frozen=True)
class Stratum:
    """Labels of some motion.

    Attributes:
        name: of the stratum.
        kind: number of :data:`pipeline.release.motion.MOTIONS`.
        lower: windows since the last motion, at least; None where they do not matter.
        upper: windows since the last motion, at most; None for no bound.
    """

    name: str
    kind: int
    lower: int | None = None
    upper: int | None = None

    def holds(self, motion: BoxMotion) -> np.ndarray:
        """Which boxes are in it: bool ``[M]``."""
        inside = motion.kinds == self.kind
        if self.lower is not None:
            inside &= motion.rests >= self.lower
        if self.upper is not None:
            inside &= motion.rests <= self.upper
        return inside


#: By motion, then those at rest by the windows since they last moved.
STRATA = (
    Stratum("resting", RESTING),
    Stratum("slow", SLOW),
    Stratum("moving", MOVING),
    Stratum("rest 1-2", RESTING, 1, 2),
    Stratum("rest 3-10", RESTING, 3, 10),
    Stratum("rest 11+", RESTING, 11),
    Stratum("never moved", RESTING, NEVER_MOVED, NEVER_MOVED),
)

#: A label with its strata, as :func:`with_strata` gives it.
STRATA_DTYPE = np.dtype([*BOX_DTYPE.descr, ("strata", "?", (len(STRATA),))])


def strata_of(motion: BoxMotion) -> np.ndarray:
    """Which strata each box is in: bool ``[M, Q]``, in the order of :data:`STRATA`."""
    return np.stack([stratum.holds(motion) for stratum in STRATA], axis=1)


def strata_by_track(records: np.ndarray) -> np.ndarray:
    """The strata of a recording's labels, ``BOX_DTYPE [M]``, by their tracks: bool ``[M, Q]``."""
    x, y, w, h = (records[name].astype(np.float64) for name in "xywh")
    corners = np.stack([x, y, x + w, y + h], axis=1)
    return strata_of(box_motion(records["t"], records["track_id"].astype(np.int64), corners))


def with_strata(records: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """``BOX_DTYPE [M]`` with bool ``[M, Q]`` beside: :data:`STRATA_DTYPE` ``[M]``."""
    found = np.zeros(len(records), STRATA_DTYPE)
    for name in BOX_DTYPE.names or ():
        found[name] = records[name]
    found["strata"] = strata
    return found


def known_strata(true: WindowBoxes) -> np.ndarray:
    """The strata of labels, bool ``[M, Q]``; none where nobody knows."""
    return np.zeros((len(true), len(STRATA)), bool) if true.strata is None else true.strata


def strata_of_found(recording: ScoredRecording, pairs: Pairs) -> np.ndarray:
    """In which strata each detection counts as false where no label makes it right: bool ``[Q, n]``.

    In those of the label of its window that it overlaps most, of whatever class. One that overlaps none
    by more than :data:`MEANS_NONE` has no motion: it counts in each stratum that a label of its window
    is in.
    """
    found, true = recording.found, recording.true
    strata = known_strata(true)
    in_window = np.zeros((len(recording.numbers), len(STRATA)), bool)
    np.logical_or.at(in_window, true.window, strata)
    counts = in_window[found.window]
    order = np.lexsort((-pairs.overlap, pairs.detection))
    detection, first = np.unique(pairs.detection[order], return_index=True)
    best = order[first]
    means = pairs.overlap[best] > MEANS_NONE
    counts[detection[means]] = strata[pairs.label[best[means]]]
    return counts.T
