"""Compiled loops that give labels to detections, as each family of protocols does."""

import numpy as np
from numba import njit

_NONE = -1


@njit(cache=True, nogil=True)
def match_coco(
    found_groups: np.ndarray,
    first_label: np.ndarray,
    last_label: np.ndarray,
    window_label: np.ndarray,
    starts: np.ndarray,
    overlap: np.ndarray,
    ignored: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """COCO's rule, group by group (a class of a window), best score first.

    A detection takes the free label that it overlaps most, by the threshold at least; of equal ones
    the last, and an ignored one only where no other will do.

    Args:
        found_groups: int64 ``[G + 1]``, where each group of detections begins.
        first_label: int64 ``[G]``, the first label of the group's class and window.
        last_label: int64 ``[G]``, the one after its last.
        window_label: int64 ``[G]``, the first label of the window, of whatever class.
        starts: of :class:`dmanet.evaluation.scored.Pairs`.
        overlap: of the same.
        ignored: bool ``[S, M]``, labels outside each size range.
        thresholds: float64 ``[T]``.

    Returns:
        int32 ``[S, T, n]``: the label of each detection, or −1.
    """
    sizes, labels = ignored.shape
    matched = np.full((sizes, len(thresholds), len(starts) - 1), _NONE, np.int32)
    taken = np.zeros(labels, np.bool_)
    for group in range(len(found_groups) - 1):
        low, high, window = first_label[group], last_label[group], window_label[group]
        if low == high:
            continue
        for s in range(sizes):
            for t in range(len(thresholds)):
                taken[low:high] = False
                for row in range(found_groups[group], found_groups[group + 1]):
                    best = _NONE
                    for ignoring in (False, True):
                        needed = min(thresholds[t], 1 - 1e-10)
                        for label in range(low, high):
                            if taken[label] or ignored[s, label] != ignoring:
                                continue
                            own = overlap[starts[row] + label - window]
                            if own >= needed:
                                needed, best = own, label
                        if best != _NONE:
                            break
                    if best != _NONE:
                        taken[best] = True
                        matched[s, t, row] = best
    return matched


@njit(cache=True, nogil=True)
def match_release(
    found_groups: np.ndarray,
    first_label: np.ndarray,
    last_label: np.ndarray,
    window_label: np.ndarray,
    starts: np.ndarray,
    overlap: np.ndarray,
    least: float,
    labels: int,
) -> np.ndarray:
    """The release's rule: a detection may take the one label it overlaps most, if it is free.

    Args:
        found_groups: as for :func:`match_coco`.
        first_label: as for :func:`match_coco`.
        last_label: as for :func:`match_coco`.
        window_label: as for :func:`match_coco`.
        starts: as for :func:`match_coco`.
        overlap: as for :func:`match_coco`.
        least: what the overlap must exceed.
        labels: how many there are.

    Returns:
        int32 ``[n]``: the label of each detection, or −1.
    """
    matched = np.full(len(starts) - 1, _NONE, np.int32)
    taken = np.zeros(labels, np.bool_)
    for group in range(len(found_groups) - 1):
        low, high, window = first_label[group], last_label[group], window_label[group]
        if low == high:
            continue
        for row in range(found_groups[group], found_groups[group + 1]):
            best, most = low, -1.0
            for label in range(low, high):
                own = overlap[starts[row] + label - window]
                if own > most:
                    best, most = label, own
            if most > least and not taken[best]:
                taken[best] = True
                matched[row] = best
    return matched
