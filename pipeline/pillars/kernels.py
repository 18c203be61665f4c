"""Compiled loops of the pillar encoder; :mod:`pipeline.pillars.packing` documents shapes and meaning.

Grids passed in as scratch are all zero on entry and left all zero, so that a window costs no clearing
of what it did not touch. Grids of cells are padded to whole 64-bit words: an empty word is skipped
at once.
"""

# mypy: disallow-untyped-defs=false

import numba as nb
import numpy as np

_jit = nb.njit(cache=True, nogil=True)


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
def mark_cells(events, t_first, span, column_of, row_cells, bins, bin_bits, max_pillars, state):
    """Preset ``release``: let the earliest event of each cell claim it.

    ``row_cells`` is the first cell of each sensor row's grid row, ``bins`` is num_bins−1. Fills
    ``state`` (unsigned ``[rows·columns]``): 0 for an untouched cell, ``1 << bin_bits + 1 | polarity
    << bin_bits | time bin`` for a pillar, ``1 << bin_bits + 2`` for a cell that is taken but gives
    none (beyond ``max_pillars``, or in the last instant). Returns the events kept of each polarity,
    then the pillars of each polarity.
    """
    width = len(column_of)
    height = len(row_cells)
    occupied = 1 << (bin_bits + 1)
    refused = 1 << (bin_bits + 2)
    kept_neg = 0
    kept_pos = 0
    pillars_neg = 0
    pillars_pos = 0
    # Events are sorted by time, so bins * dt // span only grows: step it instead of dividing.
    time_bin = 0
    edge = (span + bins - 1) // bins if span > 0 else np.iinfo(np.int64).max
    for i in range(len(events)):
        event = events[i]
        if event.x >= width or event.y >= height:
            continue
        cell = row_cells[event.y] + column_of[event.x]
        if state[cell] != 0:
            continue
        dt = np.int64(event.t) - t_first
        while dt >= edge:
            time_bin += 1
            edge = ((time_bin + 1) * span + bins - 1) // bins
        p = np.int64(event.p)
        kept_pos += p
        kept_neg += 1 - p
        pillars = pillars_pos if p else pillars_neg
        if time_bin < bins and pillars < max_pillars:
            pillars_pos += p
            pillars_neg += 1 - p
            state[cell] = occupied | p << bin_bits | time_bin
        else:
            state[cell] = refused
    return (kept_neg, kept_pos), (pillars_neg, pillars_pos)


@_jit
def emit_cells(
    state,
    frame_cells,
    time_cells,
    bins,
    bin_bits,
    pillars_neg,
    points_neg,
    pillars_pos,
    points_pos,
):
    """Preset ``release``: read the claimed cells in order, write packed pillars, clear ``state``."""
    occupied = 1 << (bin_bits + 1)
    bin_mask = (1 << bin_bits) - 1
    words = state.view(np.uint64)
    per_word = len(state) // len(words)
    neg = 0
    pos = 0
    previous_neg = np.int64(0)
    previous_pos = np.int64(0)
    for z in range(time_cells):
        for word in range(len(words)):
            if words[word] == 0:
                continue
            for cell in range(word * per_word, (word + 1) * per_word):
                value = state[cell]
                if not value & occupied:
                    continue
                time_bin = value & bin_mask
                if time_cells > 1 and time_bin * time_cells // bins != z:
                    continue
                number = np.int64(z) * frame_cells + cell
                if value >> bin_bits & 1:
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
            if z == time_cells - 1:
                words[word] = 0


@_jit
def accept_points(
    events,
    t_first,
    span,
    time_steps,
    x_table,
    y_table,
    sub_bits,
    frame_cells,
    bins,
    time_cells,
    max_points,
    max_pillars,
    dedup,
    stop_at_overflow,
    seen,
    tag,
    count,
    cells,
    points,
):
    """Preset ``paper``: walk the events in time and let them into pillars.

    ``x_table[x] + y_table[y]`` is ``cell << sub_bits | pixel in the cell``. ``seen`` (uint8
    ``[pixels]``) marks the pixels that had an event with ``tag``, which no earlier window left
    there. Fills ``count`` (uint8 ``[2, cells]``) and, for each polarity, ``cells`` and ``points``
    (uint32 ``[2, N]``) with the accepted points in their order. Returns the number of events left
    after deduplication, and per polarity the number of points and of pillars.
    """
    width = len(x_table)
    height = len(y_table)
    pixel_mask = (1 << sub_bits) - 1
    # Scaled time is exactly num_bins−1 at the last instant: outside the time range.
    end = span if span > 0 else np.int64(1)
    kept = 0
    accepted = np.zeros(2, np.int64)
    pillars = np.zeros(2, np.int64)
    stopped = np.zeros(2, np.uint8)
    for i in range(len(events)):
        event = events[i]
        if event.x >= width or event.y >= height:
            continue
        if dedup:
            pixel = np.int64(event.y) * width + event.x
            if seen[pixel] == tag:
                continue
            seen[pixel] = tag
        kept += 1
        dt = np.int64(event.t) - t_first
        if dt >= end:
            continue
        p = np.int64(event.p)
        if stopped[p]:
            continue
        place = x_table[event.x] + y_table[event.y]
        cell = place >> sub_bits
        if time_cells > 1 and span > 0:
            scaled = np.float32(np.float64(bins * dt) / span)
            z = min(np.int64(scaled * np.float32(time_cells / bins)), time_cells - 1)
            cell += z * frame_cells
        held = count[p, cell]
        if held >= max_points:
            continue
        if held == 0:
            if pillars[p] >= max_pillars:
                if stop_at_overflow:
                    stopped[p] = 1
                continue
            pillars[p] += 1
        count[p, cell] = held + 1
        if time_steps > 0:
            dt = dt * time_steps // end
        n = accepted[p]
        cells[p, n] = cell
        points[p, n] = dt << sub_bits | (place & pixel_mask)
        accepted[p] = n + 1
    return kept, accepted, pillars


@_jit
def place_points(cells, values, count, offset, pillars, points):
    """Preset ``paper``: order one polarity's accepted points by cell, then time.

    ``cells`` and ``values`` uint32 ``[Q]`` are the points as accepted. ``count`` uint8 ``[cells]`` is
    read and cleared, ``offset`` int32 ``[cells]`` is scratch. Fills ``pillars`` uint32 ``[P]`` and
    ``points`` ``[Q]``.
    """
    words = count.view(np.uint64)
    n = 0
    base = 0
    previous = np.int64(0)
    for word in range(len(words)):
        if words[word] == 0:
            continue
        for cell in range(8 * word, 8 * word + 8):
            held = count[cell]
            if held:
                pillars[n] = (cell - previous) << 3 | held
                offset[cell] = base
                previous = np.int64(cell)
                base += held
                n += 1
        words[word] = 0
    for i in range(len(cells)):
        cell = cells[i]
        slot = offset[cell]
        points[slot] = values[i]
        offset[cell] = slot + 1


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
    points, num_points, coords, first_x, first_y, x_of, y_of, bits_x, bits_y, time_scale, out
):
    """Preset ``paper``: pixels and times to grid units, in float64 and rounded once.

    ``time_scale`` is ``(factor, addend, divisor)``: a stored time ``d`` stands for
    ``(factor·d + addend) / divisor``. Returns whether every pixel is on the sensor; stops at the
    first that is not.
    """
    factor, addend, divisor = time_scale
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
            time = np.int64(point >> (bits_x + bits_y))
            out[i, slot, 2] = np.float64(factor * time + addend) / divisor
            q += 1
    return True
