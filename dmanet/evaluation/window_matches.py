"""Which detections of a recording are right, once for all that is computed from it."""

from dataclasses import dataclass

import numpy as np

from dmanet.evaluation.matching_kernels import match_coco, match_release
from dmanet.evaluation.motion import known_strata, strata_of_found
from dmanet.evaluation.protocols import Protocol
from dmanet.evaluation.scored import Pairs, ScoredRecording, WindowBoxes, pairs_of
from dmanet.evaluation.sizes import SIZE_RANGES

#: float32, as the release compares in; COCO's are float64.
RELEASE_THRESHOLDS = np.linspace(0.5, 0.95, 10, dtype=np.float32).astype(np.float64)
COCO_THRESHOLDS = np.linspace(0.5, 0.95, 10)

#: What a detection is to a size range and an overlap threshold.
FALSE, RIGHT, IGNORED = 0, 1, 2


@dataclass(frozen=True)
class Matches:
    """A recording's detections against its labels.

    Attributes:
        recording: what was matched.
        pairs: its overlaps.
        state: uint8 ``[S, T, n]``: FALSE, RIGHT or IGNORED for each of
            :data:`dmanet.evaluation.sizes.SIZE_RANGES`, then of
            :data:`dmanet.evaluation.motion.STRATA`, and overlap thresholds.
        label: int32 ``[n]``: the label of each detection at the least threshold, all sizes; −1: none.
        positives: bool ``[S, M]``, the labels of each size range and stratum.
    """

    recording: ScoredRecording
    pairs: Pairs
    state: np.ndarray
    label: np.ndarray
    positives: np.ndarray


def match(recording: ScoredRecording, protocol: Protocol) -> Matches:
    """Match one recording as the protocol does.

    Outside a size range labels are ignored, and so are detections that are of such a label or of none
    and outside it themselves (COCO's rule, for the release's matching too). Outside a stratum of motion
    it is the same; :func:`dmanet.evaluation.motion.strata_of_found` says where detections are.
    """
    found, true = recording.found, recording.true
    pairs = pairs_of(recording)
    positives = np.stack([size.holds(true.sides) for size in SIZE_RANGES])
    inside = np.stack([size.holds(found.sides) for size in SIZE_RANGES])
    positives = np.concatenate([positives, known_strata(true).T])
    inside = np.concatenate([inside, strata_of_found(recording, pairs)])
    groups = _groups(found, true)
    if protocol.average_precision == "coco":
        labels = match_coco(*groups, pairs.starts, pairs.overlap, ~positives, COCO_THRESHOLDS)
        at_least = labels[0, 0]
    else:
        least = RELEASE_THRESHOLDS[0]
        at_least = match_release(*groups, pairs.starts, pairs.overlap, least, len(true))
        passed = _own_overlap(pairs, at_least, found, true)[None] > RELEASE_THRESHOLDS[:, None]
        labels = np.broadcast_to(np.where(passed, at_least, -1), (len(positives), *passed.shape))
    return Matches(recording, pairs, _states(labels, positives, inside), at_least, positives)


def _states(labels: np.ndarray, positives: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """uint8 ``[S, T, n]`` of the labels ``[S, T, n]``, what is in each range, of both kinds of box."""
    states = np.empty(labels.shape, np.uint8)
    for s, (own, counts, within) in enumerate(zip(labels, positives, inside, strict=True)):
        matched = own >= 0
        right = counts[own] & matched if counts.size else matched
        states[s] = np.where(
            matched, np.where(right, RIGHT, IGNORED), np.where(within, FALSE, IGNORED)
        )
    return states


def _groups(
    found: WindowBoxes, true: WindowBoxes
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each class of each window: detections begin, labels begin and end, labels of the window begin."""
    new = np.ones(len(found), bool)
    new[1:] = (np.diff(found.window) != 0) | (np.diff(found.classes) != 0)
    heads = np.flatnonzero(new)
    window, of_class = found.window[heads], found.classes[heads]
    classes = 1 + max(found.classes.max(initial=0), true.classes.max(initial=0))
    keys = true.window * classes + true.classes
    own = window * classes + of_class
    return (
        np.append(heads, len(found)),
        np.searchsorted(keys, own, side="left"),
        np.searchsorted(keys, own, side="right"),
        np.searchsorted(true.window, window, side="left"),
    )


def _own_overlap(
    pairs: Pairs, label: np.ndarray, found: WindowBoxes, true: WindowBoxes
) -> np.ndarray:
    """Overlap of each detection with its label, float64 ``[n]``; 0 without one."""
    overlap = np.zeros(len(label))
    rows = np.flatnonzero(label >= 0)
    first = np.searchsorted(true.window, found.window[rows], side="left")
    overlap[rows] = pairs.overlap[pairs.starts[rows] + label[rows] - first]
    return overlap
