"""The compiled loop that asks how much denser events are in boxes than around them.

:mod:`pipeline.release.label_offset` says what follows from it.
"""

# mypy: disallow-untyped-defs=false

import numba as nb
import numpy as np

_jit = nb.njit(cache=True, nogil=True)


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
