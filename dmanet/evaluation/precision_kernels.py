"""Compiled loops from ranked detections to average precision, for many weightings of recordings.

A weight is how often a recording was drawn. A detection of weight w stands for w in a row. Where they
are right, precision rises from the first to the last of them: the envelope is level between, and the
two ends are all that matters. Where they are false, recall stands still and the last is what matters.
"""

import numpy as np
from numba import njit

_FALSE, _RIGHT = 0, 1  # of dmanet.evaluation.window_matches


@njit(cache=True, nogil=True)
def coco_precision(
    recording: np.ndarray,
    run: np.ndarray,
    state: np.ndarray,
    weights: np.ndarray,
    positives: np.ndarray,
    recalls: np.ndarray,
) -> np.ndarray:
    """COCO's average precision: the mean of the precision envelope at 101 recalls.

    Args:
        recording: int64 ``[D]``.
        run: int64 ``[D]``, see :class:`dmanet.evaluation.ranking.Ranking`.
        state: uint8 ``[T, D]``.
        weights: int64 ``[B, R]``.
        positives: int64 ``[B]``, labels.
        recalls: float64 ``[101]``.

    Returns:
        float64 ``[B, T]``; NaN without labels.
    """
    found = np.full((len(weights), len(state)), np.nan)
    room = _room(run, weights)
    right, total = np.empty(room, np.int64), np.empty(room, np.int64)
    envelope = np.empty(room)
    for t in range(len(state)):
        recordings, runs, rights = _counted(recording, run, state[t])
        for b in range(len(weights)):
            if positives[b] == 0:
                continue
            filled = _turns(recordings, runs, rights, weights[b], right, total)
            best = 0.0
            for k in range(filled - 1, -1, -1):
                best = max(best, right[k] / max(total[k], 1))
                envelope[k] = best
            at, area = 0, 0.0
            for recall in recalls:
                while at < filled and right[at] / positives[b] < recall:
                    at += 1
                if at == filled:
                    break
                area += envelope[at]
            found[b, t] = area / len(recalls)
    return found


@njit(cache=True, nogil=True)
def release_precision(
    recording: np.ndarray,
    run: np.ndarray,
    state: np.ndarray,
    weights: np.ndarray,
    positives: np.ndarray,
    recalls: np.ndarray,
) -> np.ndarray:
    """The release's average precision, see :func:`dmanet.evaluation.release.average_precision`.

    Args and result are those of :func:`coco_precision`; 0 with labels and without detections.
    """
    found = np.full((len(weights), len(state)), np.nan)
    room = _room(run, weights)
    right, total = np.empty(room, np.int64), np.empty(room, np.int64)
    x, y = np.empty(room + 2), np.empty(room + 2)
    for t in range(len(state)):
        recordings, runs, rights = _counted(recording, run, state[t])
        for b in range(len(weights)):
            if positives[b] == 0:
                continue
            filled = _turns(recordings, runs, rights, weights[b], right, total)
            if filled == 0:
                found[b, t] = 0.0
                continue
            x[0], y[0] = 0.0, 1.0
            for k in range(filled):
                x[k + 1] = right[k] / positives[b]
                y[k + 1] = right[k] / total[k] if total[k] else 1.0
            x[filled + 1], y[filled + 1] = x[filled] + 0.01, 0.0
            for k in range(filled, -1, -1):
                y[k] = max(y[k], y[k + 1])
            at, area, before = 0, 0.0, 0.0
            for i in range(len(recalls)):
                while at <= filled and x[at + 1] <= recalls[i]:
                    at += 1
                if at == filled + 1:
                    value = y[at]
                else:
                    slope = (y[at + 1] - y[at]) / (x[at + 1] - x[at])
                    value = slope * (recalls[i] - x[at]) + y[at]
                if i > 0:
                    area += (recalls[i] - recalls[i - 1]) * (value + before) / 2
                before = value
            found[b, t] = area
    return found


@njit(cache=True, nogil=True)
def release_curves(
    recording: np.ndarray,
    run: np.ndarray,
    state: np.ndarray,
    scores: np.ndarray,
    weights: np.ndarray,
    positives: np.ndarray,
    confidences: np.ndarray,
) -> np.ndarray:
    """The release's precision and recall over the confidence, linear between detections.

    Args:
        recording: int64 ``[D]``.
        run: int64 ``[D]``.
        state: uint8 ``[D]``.
        scores: float64 ``[D]``.
        weights: int64 ``[B, R]``.
        positives: int64 ``[B]``, labels.
        confidences: float64 ``[C]``, ascending.

    Returns:
        float64 ``[B, 2, C]``, precision then recall; 0 without labels or detections.
    """
    draws, count = len(weights), len(confidences)
    curves = np.zeros((draws, 2, count))
    room = _room(run, weights)
    right, total, row = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    for b in range(draws):
        if positives[b] == 0:
            continue
        filled = _places(recording, run, state, weights[b], right, total, row)
        if filled == 0:
            continue
        at = -1  # the last place whose score reaches the confidence
        for c in range(count - 1, -1, -1):
            while at + 1 < filled and scores[row[at + 1]] >= confidences[c]:
                at += 1
            if at < 0:
                curves[b, 0, c] = 1.0
                continue
            precision, recall = right[at] / total[at], right[at] / positives[b]
            if at + 1 < filled:
                after = at + 1
                gap = scores[row[at]] - scores[row[after]]
                part = scores[row[at]] - confidences[c]
                precision += (right[after] / total[after] - precision) / gap * part
                recall += (right[after] / positives[b] - recall) / gap * part
            curves[b, 0, c], curves[b, 1, c] = precision, recall
    return curves


@njit(cache=True, nogil=True)
def _counted(
    recording: np.ndarray, run: np.ndarray, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recording, run and whether it is right, of the detections that are not ignored."""
    recordings, runs = np.empty_like(recording), np.zeros_like(run)
    rights = np.empty(len(run), np.bool_)
    kept, head, of_run = 0, -1, -1
    for place in range(len(run)):
        if run[place] > 0:
            of_run = place
        if state[place] == _RIGHT or state[place] == _FALSE:
            if head != of_run:
                head, first = of_run, kept
            recordings[kept], rights[kept] = recording[place], state[place] == _RIGHT
            runs[first] += 1
            kept += 1
    return recordings[:kept], runs[:kept], rights[:kept]


@njit(cache=True, nogil=True)
def _turns(
    recording: np.ndarray,
    run: np.ndarray,
    rights: np.ndarray,
    weights: np.ndarray,
    right: np.ndarray,
    total: np.ndarray,
) -> int:
    """Where precision turns going down a ranking: at the ends of what is right, and of what is false.

    Before each that is right stands what was before it, which is nothing of nothing at the begin.

    Args:
        recording: int64 ``[D]``.
        run: int64 ``[D]``.
        rights: bool ``[D]``.
        weights: int64 ``[R]``.
        right: int64, room for the detections that are right so far.
        total: int64, room for all so far.

    Returns:
        How many places were filled.
    """
    filled, good, every = 0, 0, 0
    at = 0
    while at < len(recording):
        weight, length = weights[recording[at]], run[at]
        if length == 1:
            # Without a branch, as which of them are right cannot be guessed: every place is written,
            # and kept where it is.
            right[filled], total[filled] = good, every
            right[filled + 1], total[filled + 1] = good + 1, every + 1
            every += weight
            good += weight * rights[at]
            right[filled + 2], total[filled + 2] = good, every
            filled += 3 * (rights[at] & (weight > 0))
        else:
            for _ in range(weight):
                for place in range(at, at + length):
                    if rights[place]:
                        right[filled], total[filled] = good, every
                        good += 1
                        right[filled + 1], total[filled + 1] = good, every + 1
                        filled += 2
                    every += 1
        at += length
    right[filled], total[filled] = good, every
    return filled + 1 if every > 0 else 0


@njit(cache=True, nogil=True)
def _places(
    recording: np.ndarray,
    run: np.ndarray,
    state: np.ndarray,
    weights: np.ndarray,
    right: np.ndarray,
    total: np.ndarray,
    row: np.ndarray,
) -> int:
    """Every place going down a ranking, of each detection the first and the last of its copies.

    Args:
        recording: int64 ``[D]``.
        run: int64 ``[D]``.
        state: uint8 ``[D]``.
        weights: int64 ``[R]``.
        right: int64, room for the detections that are right so far.
        total: int64, room for all so far that count.
        row: int64, room for which detection it was.

    Returns:
        How many places were filled.
    """
    filled, good, every = 0, 0, 0
    at = 0
    while at < len(recording):
        weight, length = weights[recording[at]], run[at]
        copies, step = (1, weight) if length == 1 else (weight, 1)
        if weight > 0:
            for _ in range(copies):
                for place in range(at, at + length):
                    if state[place] == _RIGHT or state[place] == _FALSE:
                        for some in (1, step - 1):
                            if some > 0:
                                every += some
                                good += some if state[place] == _RIGHT else 0
                                right[filled], total[filled], row[filled] = good, every, place
                                filled += 1
        at += length
    return filled


@njit(cache=True, nogil=True)
def _room(run: np.ndarray, weights: np.ndarray) -> int:
    """Places that :func:`_turns` or :func:`_places` fills at most."""
    most = max(2, weights.max()) if weights.size else 2
    places = 4
    for length in run:
        places += 3 if length == 1 else 2 * length * most
    return places
