"""Compiled loops over a window's boxes; :mod:`pipeline.release.label_checks` says what they judge.

A scan meets 29 000 windows of a few boxes each for every hour: calls of NumPy would cost more than
reading the labels does.
"""

# mypy: disallow-untyped-defs=false

from typing import NamedTuple

import numba as nb
import numpy as np

_jit = nb.njit(cache=True, nogil=True)


class JumpLimits(NamedTuple):
    """What a track may do, as :func:`find_jumps` takes it.

    Attributes:
        speed: Pixels a µs.
        growth: Largest ratio of two sides after the shortest time.
        least_side: Shorter sides count as this long, in pixels.
        shortest_us: Shorter times count as this long.
        memory_us: A track not seen for longer than this says nothing.
    """

    speed: float
    growth: float
    least_side: float
    shortest_us: int
    memory_us: int


class Tracks(NamedTuple):
    """The tracks that were seen of late.

    Attributes:
        ids: uint32 ``[S]``.
        believed: float64 ``[S, 4]``, the last box that was no jump, x1, y1, x2, y2.
        believed_us: int64 ``[S]``, its time.
        seen: float64 ``[S, 4]``, the last box.
        seen_us: int64 ``[S]``, its time.
    """

    ids: np.ndarray
    believed: np.ndarray
    believed_us: np.ndarray
    seen: np.ndarray
    seen_us: np.ndarray


@_jit
def usable_boxes(labels, sensor, begin, window_us, classes):
    """Corners float64 ``[M, 4]`` of boxes, and bool ``[M]``: which can be judged.

    ``begin`` of the window in µs; negative where it is not known. Class numbers are below ``classes``.
    """
    width, height = sensor
    corners = np.empty((len(labels), 4))
    usable = np.zeros(len(labels), np.bool_)
    for i in range(len(labels)):
        box = labels[i]
        x = np.float64(box.x)
        y = np.float64(box.y)
        w = np.float64(box.w)
        h = np.float64(box.h)
        corners[i, 0] = x
        corners[i, 1] = y
        corners[i, 2] = x + w
        corners[i, 3] = y + h
        if not (np.isfinite(x) and np.isfinite(y) and np.isfinite(w) and np.isfinite(h)):
            continue
        t = np.int64(min(box.t, np.uint64(1 << 62)))
        in_time = begin < 0 or t == 0 or begin <= t <= begin + window_us
        in_sight = x < width and y < height and x + w > 0 and y + h > 0
        usable[i] = in_time and in_sight and 0 < w <= width and h > 0 and box.class_id < classes
    return corners, usable


@_jit
def find_duplicates(labels, corners, usable, overlap):
    """Boxes with an earlier one of their class, no duplicate itself, of more than this ``overlap``."""
    found = np.zeros(len(labels), np.bool_)
    for i in range(len(labels)):
        if not usable[i]:
            continue
        area = (corners[i, 2] - corners[i, 0]) * (corners[i, 3] - corners[i, 1])
        for j in range(i):
            if not usable[j] or found[j] or labels[j].class_id != labels[i].class_id:
                continue
            w = min(corners[i, 2], corners[j, 2]) - max(corners[i, 0], corners[j, 0])
            h = min(corners[i, 3], corners[j, 3]) - max(corners[i, 1], corners[j, 1])
            if w <= 0 or h <= 0:
                continue
            other = (corners[j, 2] - corners[j, 0]) * (corners[j, 3] - corners[j, 1])
            if w * h > overlap * (area + other - w * h):
                found[i] = True
                break
    return found


@_jit
def _at_border(box, sensor):
    return box[0] <= 1 or box[1] <= 1 or box[2] >= sensor[0] - 1 or box[3] >= sensor[1] - 1


@_jit
def _is_possible(before, now, elapsed_us, sensor, limits):
    """Whether a track can get from one box to another."""
    elapsed = max(abs(elapsed_us), limits.shortest_us)
    dx = (now[0] + now[2] - before[0] - before[2]) / 2
    dy = (now[1] + now[3] - before[1] - before[3]) / 2
    if np.hypot(dx, dy) > limits.speed * elapsed:
        return False
    if _at_border(before, sensor) or _at_border(now, sensor):
        return True
    growth = limits.growth ** (elapsed / limits.shortest_us)
    for axis in range(2):
        one = max(before[axis + 2] - before[axis], limits.least_side)
        other = max(now[axis + 2] - now[axis], limits.least_side)
        if max(one, other) > growth * min(one, other):
            return False
    return True


@_jit
def find_jumps(labels, corners, usable, middle_us, tracks, sensor, limits):
    """Boxes that their tracks cannot have reached, bool ``[M]``, and the :class:`Tracks` after them.

    ``middle_us``: the window's middle, the time of boxes that have none.
    """
    count = len(labels)
    found = np.zeros(count, np.bool_)
    size = len(tracks.ids)
    ids = np.empty(size + count, np.uint32)
    believed = np.empty((size + count, 4))
    believed_us = np.empty(size + count, np.int64)
    seen = np.empty((size + count, 4))
    seen_us = np.empty(size + count, np.int64)
    kept = 0
    for s in range(size):
        if abs(middle_us - tracks.seen_us[s]) <= limits.memory_us:
            ids[kept] = tracks.ids[s]
            believed[kept] = tracks.believed[s]
            believed_us[kept] = tracks.believed_us[s]
            seen[kept] = tracks.seen[s]
            seen_us[kept] = tracks.seen_us[s]
            kept += 1
    known = kept
    for i in range(count):
        track = labels[i].track_id
        if not usable[i] or track == 0:
            continue
        several = False
        for j in range(count):
            several |= j != i and usable[j] and labels[j].track_id == track
        if several:
            continue
        t = np.int64(labels[i].t)
        if t == 0:
            t = np.int64(middle_us)
        s = 0
        while s < known and ids[s] != track:
            s += 1
        if s == known:
            s = kept
            kept += 1
            ids[s] = track
            is_possible = True
        else:
            is_possible = _is_possible(
                believed[s], corners[i], t - believed_us[s], sensor, limits
            ) or _is_possible(seen[s], corners[i], t - seen_us[s], sensor, limits)
        found[i] = not is_possible
        if is_possible:
            believed[s] = corners[i]
            believed_us[s] = t
        seen[s] = corners[i]
        seen_us[s] = t
    return found, (ids[:kept], believed[:kept], believed_us[:kept], seen[:kept], seen_us[:kept])


@_jit
def count_cells(events, sensor, bits, sums):
    """Fill ``sums`` int32 ``[R+1, C+1]``: ``sums[r, c]`` events lie above row r and left of column c.

    Rows and columns are of cells of ``2**bits`` pixels a side; events outside the sensor do not count.
    """
    width, height = sensor
    sums[:] = 0
    for i in range(len(events)):
        event = events[i]
        if event.x < width and event.y < height:
            sums[(event.y >> bits) + 1, (event.x >> bits) + 1] += 1
    for r in range(1, sums.shape[0]):
        in_row = np.int32(0)
        for c in range(1, sums.shape[1]):
            in_row += sums[r, c]
            sums[r, c] = sums[r - 1, c] + in_row


@_jit
def _between(sums, left, top, right, bottom):
    if left >= right or top >= bottom:
        return np.int64(0)
    whole = np.int64(sums[bottom, right]) + sums[top, left]
    return whole - sums[top, right] - sums[bottom, left]


@_jit
def find_without_events(events, corners, usable, sensor, bits, sums):
    """Boxes no pixel of which has an event, bool ``[M]``; ``sums`` of :func:`count_cells`.

    A pixel belongs to each box that covers a part of it. The sums decide for nearly all boxes: a cell
    within the box has events, or none that it touches has. Only between the two are events looked at.
    """
    width, height = sensor
    rows, columns = sums.shape[0] - 1, sums.shape[1] - 1
    last = (1 << bits) - 1
    found = np.zeros(len(corners), np.bool_)
    for i in range(len(corners)):
        if not usable[i]:
            continue
        left = np.int64(max(np.floor(corners[i, 0]), 0.0))
        top = np.int64(max(np.floor(corners[i, 1]), 0.0))
        right = np.int64(min(np.ceil(corners[i, 2]), np.float64(width)))
        bottom = np.int64(min(np.ceil(corners[i, 3]), np.float64(height)))
        inner_right = columns if right == width else right >> bits
        inner_bottom = rows if bottom == height else bottom >> bits
        if _between(sums, (left + last) >> bits, (top + last) >> bits, inner_right, inner_bottom):
            continue
        outer_right, outer_bottom = (right + last) >> bits, (bottom + last) >> bits
        found[i] = True
        if _between(sums, left >> bits, top >> bits, outer_right, outer_bottom):
            for k in range(len(events)):
                event = events[k]
                if left <= event.x < right and top <= event.y < bottom:
                    found[i] = False
                    break
    return found


@_jit
def _sum_within(sums, x, y):
    """Events above and left of a point in cells, events of a cell taken to lie evenly in it."""
    rows, columns = sums.shape[0] - 1, sums.shape[1] - 1
    x = min(max(x, 0.0), np.float64(columns))
    y = min(max(y, 0.0), np.float64(rows))
    c = min(np.int64(x), columns - 1)
    r = min(np.int64(y), rows - 1)
    u = x - c
    v = y - r
    upper = sums[r, c] * (1 - u) + sums[r, c + 1] * u
    lower = sums[r + 1, c] * (1 - u) + sums[r + 1, c + 1] * u
    return upper * (1 - v) + lower * v


@_jit
def _events_in(sums, x1, y1, x2, y2):
    whole = _sum_within(sums, x2, y2) + _sum_within(sums, x1, y1)
    return whole - _sum_within(sums, x1, y2) - _sum_within(sums, x2, y1)


@_jit
def mean_contrast(corners, usable, sums, sensor, bits, margin):
    """How much denser events are in boxes than around them, by the window of the events.

    Args as elsewhere; ``sums`` int32 ``[L, R+1, C+1]`` of L windows; ``margin``: width of the surround
    at each side, as a share of the box. Returns the mean logarithm of the ratio over the boxes, float64
    ``[L]``, and the number of boxes.
    """
    width, height = sensor
    scale = 1.0 / (1 << bits)
    total = np.zeros(len(sums))
    boxes = 0
    for i in range(len(corners)):
        if not usable[i]:
            continue
        x1 = max(corners[i, 0], 0.0)
        y1 = max(corners[i, 1], 0.0)
        x2 = min(corners[i, 2], np.float64(width))
        y2 = min(corners[i, 3], np.float64(height))
        aside = margin * (x2 - x1)
        above = margin * (y2 - y1)
        X1 = max(x1 - aside, 0.0)
        Y1 = max(y1 - above, 0.0)
        X2 = min(x2 + aside, np.float64(width))
        Y2 = min(y2 + above, np.float64(height))
        area = (x2 - x1) * (y2 - y1)
        around = (X2 - X1) * (Y2 - Y1) - area
        if around < 0.5 * area:
            continue
        boxes += 1
        for lag in range(len(sums)):
            own = sums[lag]
            inside = _events_in(own, x1 * scale, y1 * scale, x2 * scale, y2 * scale)
            both = _events_in(own, X1 * scale, Y1 * scale, X2 * scale, Y2 * scale)
            ratio = (inside + 1) / area * around / (max(both - inside, 0.0) + 1)
            total[lag] += np.log(ratio)
    return total / max(boxes, 1), boxes
