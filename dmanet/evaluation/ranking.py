"""All recordings' detections of a class, best score first: sorted once, resampled without sorting."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmanet.evaluation.window_matches import RIGHT, Matches

#: COCO's limits of detections of a class in a window, for its average recall.
RECALL_LIMITS = (1, 10, 100)


@dataclass(frozen=True)
class Ranking:
    """Detections of one class by descending score; equal ones by recording, then in its order.

    Attributes:
        recording: int64 ``[D]``, places in the R recordings.
        scores: float64 ``[D]``.
        state: uint8 ``[S, T, D]``, see :class:`dmanet.evaluation.window_matches.Matches`.
        run: int64 ``[D]``: where equal scores of one recording begin, how many follow; else 0. A
            recording drawn twice has them twice one after the other.
        positives: int64 ``[S, R]``, labels of the class.
        right: int64 ``[S, T, L, R]``, detections that are right among a window's best
            :data:`RECALL_LIMITS` of the class.
    """

    recording: np.ndarray
    scores: np.ndarray
    state: np.ndarray
    run: np.ndarray
    positives: np.ndarray
    right: np.ndarray


def rank(matches: Sequence[Matches], class_index: int) -> Ranking:
    """The detections of one class of some recordings."""
    own = [np.flatnonzero(m.recording.found.classes == class_index) for m in matches]
    recording = np.repeat(np.arange(len(matches)), [len(rows) for rows in own])
    scores = np.concatenate(
        [m.recording.found.scores[r] for m, r in zip(matches, own, strict=True)]
    )
    state = np.concatenate([m.state[:, :, r] for m, r in zip(matches, own, strict=True)], axis=2)
    order = np.argsort(-scores, kind="stable")
    recording, scores = recording[order], scores[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(scores) != 0) | (np.diff(recording) != 0)
    heads = np.flatnonzero(new)
    run = np.zeros(len(order), np.int64)
    run[heads] = np.diff(np.append(heads, len(order)))
    return Ranking(
        recording,
        scores,
        np.ascontiguousarray(state[:, :, order]),
        run,
        np.stack(
            [m.positives[:, m.recording.true.classes == class_index].sum(axis=1) for m in matches],
            axis=1,
        ),
        np.stack([_right(m, rows) for m, rows in zip(matches, own, strict=True)], axis=3),
    )


def _right(matches: Matches, rows: np.ndarray) -> np.ndarray:
    """int64 ``[S, T, L]`` of one recording's detections of a class, ``rows``."""
    window = matches.recording.found.window[rows]
    place = np.arange(len(rows)) - np.searchsorted(window, window, side="left")
    right = matches.state[:, :, rows] == RIGHT
    return np.stack([right[:, :, place < limit].sum(axis=2) for limit in RECALL_LIMITS], axis=2)
