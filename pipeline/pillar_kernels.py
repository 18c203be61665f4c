"""Compiled loops of the pillar encoder. Shapes and meaning are documented in :mod:`pipeline.pillars`.

Grids passed in as scratch are all zero on entry and left all zero, so that a window costs no clearing
of what it did not touch.
"""

# mypy: disallow-untyped-defs=false

import numba as nb
import numpy as np

_jit = nb.njit(cache=True, nogil=True)

# State of a cell in the release preset: 0 untouched, else OCCUPIED | polarity << 8 | time bin.
_OCCUPIED = 1 << 9
_REFUSED = 1 << 10  # taken, but no pillar: beyond max_pillars, or in the last instant
_BIN_MASK = 255


@_jit
def window_facts(events, width, height):
    """Index of the first and last event in range, counts, and whether time never decreases.

    Returns ``(first, last, in_range, positive_in_range, is_sorted)``; indices are −1 without any.
    """
    first = -1
    last = -1
    in_range = 0
    positive = 0
    is_sorted = True
    previous = np.int64(0)
    for i in range(len(events)):
        event = events[i]
        t = np.int64(event.t)
        is_sorted &= t >= previous
        previous = t
        if event.x < width and event.y < height:
            if first < 0:
                first = i
            last = i
            in_range += 1
            positive += event.p
    return first, last, in_range, positive, is_sorted


@_jit
def mark_cells(events, t_first, span, column_of, row_of, columns, bins, max_pillars, state):
    """Preset ``release``: let the earliest event of each cell claim it.

    ``bins`` is num_bins−1. Fills ``state`` (uint16 ``[rows·columns]``) and returns int64 ``[4]``:
    events kept of each polarity, then pillars of each polarity.
    """
    width = len(column_of)
    height = len(row_of)
    totals = np.zeros(4, np.int64)
    # Events are sorted by time, so bins * dt // span only grows: step it instead of dividing.
    time_bin = 0
    edge = (span + bins - 1) // bins if span > 0 else np.iinfo(np.int64).max
    for i in range(len(events)):
        event = events[i]
        if event.x >= width or event.y >= height:
            continue
        cell = row_of[event.y] * columns + column_of[event.x]
        if state[cell] != 0:
            continue
        dt = np.int64(event.t) - t_first
        while dt >= edge:
            time_bin += 1
            edge = ((time_bin + 1) * span + bins - 1) // bins
        p = np.int64(event.p)
        totals[p] += 1
        if time_bin < bins and totals[2 + p] < max_pillars:
            totals[2 + p] += 1
            state[cell] = _OCCUPIED | p << 8 | time_bin
        else:
            state[cell] = _REFUSED
    return totals


@_jit
def emit_cells(state, time_cells, bins, pillars_neg, points_neg, pillars_pos, points_pos):
    """Preset ``release``: read the claimed cells in order, write packed pillars, clear ``state``."""
    n = len(state)
    neg = 0
    pos = 0
    previous_neg = np.int64(0)
    previous_pos = np.int64(0)
    for z in range(time_cells):
        for cell in range(n):
            value = state[cell]
            if not value & _OCCUPIED:
                if z == time_cells - 1:
                    state[cell] = 0
                continue
            time_bin = value & _BIN_MASK
            if time_cells > 1 and time_bin * time_cells // bins != z:
                continue
            number = np.int64(z) * n + cell
            if value >> 8 & 1:
                if pos < len(pillars_pos):
                    pillars_pos[pos] = (number - previous_pos) << 3 | 1
                    points_pos[pos] = time_bin
                previous_pos = number
                pos += 1
            else:
                if neg < len(pillars_neg):
                    pillars_neg[neg] = (number - previous_neg) << 3 | 1
                    points_neg[neg] = time_bin
                previous_neg = number
                neg += 1
            state[cell] = 0


@_jit
def accept_points(
    events,
    t_first,
    span,
    column_of,
    row_of,
    first_x,
    first_y,
    bits_x,
    bits_y,
    columns,
    frame_cells,
    bins,
    time_cells,
    max_points,
    max_pillars,
    dedup,
    stop_at_overflow,
    seen,
    count,
):
    """Preset ``paper``: walk the events in time and let them into pillars.

    Fills ``count`` (uint8 ``[2, cells]``), clears ``seen`` (uint8 ``[pixels]``). Returns the accepted
    points as uint32 ``[Q, 3]`` rows (polarity, cell, packed point), the number of events left after
    deduplication, and per polarity the number of points and of pillars.
    """
    width = len(column_of)
    height = len(row_of)
    accepted = np.empty((len(events), 3), np.uint32)
    n = 0
    kept = 0
    points = np.zeros(2, np.int64)
    pillars = np.zeros(2, np.int64)
    stopped = np.zeros(2, np.uint8)
    for i in range(len(events)):
        event = events[i]
        if event.x >= width or event.y >= height:
            continue
        if dedup:
            pixel = np.int64(event.y) * width + event.x
            if seen[pixel] != 0:
                continue
            seen[pixel] = 1
        kept += 1
        dt = np.int64(event.t) - t_first
        if span > 0 and dt >= span:
            continue  # scaled time is exactly num_bins−1: outside the time range
        p = np.int64(event.p)
        if stopped[p]:
            continue
        column = column_of[event.x]
        row = row_of[event.y]
        cell = row * columns + column
        if time_cells > 1 and span > 0:
            scaled = np.float32(np.float64(bins * dt) / span)
            z = min(np.int64(scaled * np.float32(time_cells / bins)), time_cells - 1)
            cell += z * frame_cells
        held = count[p, cell]
        if held == 0:
            if pillars[p] >= max_pillars:
                if stop_at_overflow:
                    stopped[p] = 1
                continue
            pillars[p] += 1
        elif held >= max_points:
            continue
        count[p, cell] = held + 1
        points[p] += 1
        sub = (event.x - first_x[column]) | (event.y - first_y[row]) << bits_x
        accepted[n, 0] = p
        accepted[n, 1] = cell
        accepted[n, 2] = dt << (bits_x + bits_y) | sub
        n += 1
    if dedup:
        for i in range(len(events)):
            event = events[i]
            if event.x < width and event.y < height:
                seen[np.int64(event.y) * width + event.x] = 0
    return accepted[:n], kept, points, pillars


@_jit
def place_points(accepted, polarity, count, offset, pillars, points):
    """Preset ``paper``: order one polarity's accepted points by cell, then time.

    ``count`` uint8 ``[cells]`` is read and cleared, ``offset`` int32 ``[cells]`` is scratch. Fills
    ``pillars`` uint32 ``[P]`` and ``points`` uint32 ``[Q]``.
    """
    n = 0
    base = 0
    previous = np.int64(0)
    for cell in range(len(count)):
        held = count[cell]
        if held:
            pillars[n] = (cell - previous) << 3 | held
            offset[cell] = base
            previous = np.int64(cell)
            base += held
            n += 1
            count[cell] = 0
    for i in range(len(accepted)):
        if accepted[i, 0] == polarity:
            cell = accepted[i, 1]
            points[offset[cell]] = accepted[i, 2]
            offset[cell] += 1


@_jit
def unpack_pillars(pillars, columns, rows, cells, max_points, num_points, coords):
    """Packed pillars of one window and polarity to counts and cells (z, y, x).

    Returns whether every count is within 1…max_points and every cell in the grid.
    """
    fits = True
    cell = np.int64(0)
    for i in range(len(pillars)):
        held = np.int64(pillars[i] & 7)
        fits &= (held >= 1) & (held <= max_points)
        num_points[i] = held
        cell += np.int64(pillars[i] >> 3)
        fits &= cell < cells
        row = cell // columns
        coords[i, 2] = cell - row * columns
        coords[i, 0] = row // rows
        coords[i, 1] = row % rows
    return fits


@_jit
def expand_release(points, num_points, coords, out):
    """Preset ``release``: points at the cell's own column and row."""
    q = 0
    for i in range(len(num_points)):
        for slot in range(num_points[i]):
            out[i, slot, 0] = coords[i, 2]
            out[i, slot, 1] = coords[i, 1]
            out[i, slot, 2] = points[q]
            q += 1


@_jit
def expand_paper(
    points, num_points, coords, first_x, first_y, x_of, y_of, bits_x, bits_y, bins, span, out
):
    """Preset ``paper``: pixels and microseconds to grid units, in float64 and rounded once.

    Returns whether every pixel is on the sensor; stops at the first that is not.
    """
    q = 0
    for i in range(len(num_points)):
        pixel_x = first_x[coords[i, 2]]
        pixel_y = first_y[coords[i, 1]]
        for slot in range(num_points[i]):
            point = points[q]
            x = pixel_x + (point & ((1 << bits_x) - 1))
            y = pixel_y + (point >> bits_x & ((1 << bits_y) - 1))
            if x >= len(x_of) or y >= len(y_of):
                return False
            out[i, slot, 0] = x_of[x]
            out[i, slot, 1] = y_of[y]
            out[i, slot, 2] = np.float64(bins * np.int64(point >> (bits_x + bits_y))) / span
            q += 1
    return True
