"""Compiled loops that pack windows; :mod:`pipeline.pillars.bit_layout` documents what they write.

Grids passed in as scratch are all zero on entry and left all zero, so that a window costs no clearing
of what it did not touch. Grids of cells are padded to whole 64-bit words: an empty word is skipped
at once.
"""

# mypy: disallow-untyped-defs=false

from typing import NamedTuple

import numba as nb
import numpy as np

from pipeline.pillars.bit_layout import COUNT_BITS

_jit = nb.njit(cache=True, nogil=True)


class PaperRules(NamedTuple):
    """What decides which events of the preset ``paper`` become points of pillars.

    Attributes:
        bins: num_bins − 1, the scaled time of the last instant.
        time_cells: cells along time.
        time_steps: steps of the span that times are kept in; 0 keeps every µs.
        max_points: points that a pillar holds at most.
        max_pillars: pillars of a polarity at most.
        one_per_pixel: only the earliest event of a pixel counts.
        stop_at_overflow: after ``max_pillars`` no later event counts, whatever its cell.
    """

    bins: int
    time_cells: int
    time_steps: int
    max_points: int
    max_pillars: int
    one_per_pixel: bool
    stop_at_overflow: bool


class PixelCells(NamedTuple):
    """The cell of every pixel in the preset ``paper``.

    Attributes:
        x: int64 ``[width]`` and
        y: int64 ``[height]``: ``x[column] + y[row]`` is ``cell << sub_bits | sub``.
        sub_bits: bits of a pixel's place in its cell.
        frame_cells: cells of one instant, columns times rows.
    """

    x: np.ndarray
    y: np.ndarray
    sub_bits: int
    frame_cells: int


class AcceptedPoints(NamedTuple):
    """Scratch that :func:`accept_points` fills, for each polarity.

    Attributes:
        seen: uint8 ``[width·height]``: the tag of the last window with an event at the pixel.
        counts: uint8 ``[2, cells]``: points of each cell.
        cells: uint32 ``[2, N]``: the accepted points' cells in the order of time, and
        points: uint32 ``[2, N]``: the points themselves.
    """

    seen: np.ndarray
    counts: np.ndarray
    cells: np.ndarray
    points: np.ndarray


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
def mark_cells(events, t_first, span, column_of, row_cells, bins, max_pillars, bits, state):
    """Preset ``release``: let the earliest event of each cell claim it.

    ``row_cells`` is the first cell of each sensor row's grid row, ``bins`` is num_bins−1. Fills
    ``state`` (unsigned ``[rows·columns]``) by the layout ``bits``
    (:class:`pipeline.pillars.bit_layout.CellState`); a cell is refused beyond ``max_pillars`` and
    when its event is in the last instant. Returns the events kept of each polarity, then the pillars
    of each polarity.
    """
    width = len(column_of)
    height = len(row_cells)
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
            state[cell] = bits.occupied | p << bits.polarity_shift | time_bin
        else:
            state[cell] = bits.refused
    return (kept_neg, kept_pos), (pillars_neg, pillars_pos)


@_jit
def emit_cells(
    state,
    frame_cells,
    time_cells,
    bins,
    bits,
    pillars_neg,
    points_neg,
    pillars_pos,
    points_pos,
):
    """Preset ``release``: read the claimed cells in order, write packed pillars, clear ``state``."""
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
                if not value & bits.occupied:
                    continue
                time_bin = value & bits.bin_mask
                if time_cells > 1 and time_bin * time_cells // bins != z:
                    continue
                number = np.int64(z) * frame_cells + cell
                if value >> bits.polarity_shift & 1:
                    if pos < len(pillars_pos):
                        pillars_pos[pos] = (number - previous_pos) << COUNT_BITS | 1
                        points_pos[pos] = time_bin
                    previous_pos = number
                    pos += 1
                else:
                    if neg < len(pillars_neg):
                        pillars_neg[neg] = (number - previous_neg) << COUNT_BITS | 1
                        points_neg[neg] = time_bin
                    previous_neg = number
                    neg += 1
            if z == time_cells - 1:
                words[word] = 0


@_jit
def accept_points(events, t_first, span, rules, pixels, tag, accepted):
    """Preset ``paper``: walk the events in time and let them into pillars.

    Takes :class:`PaperRules`, :class:`PixelCells`, a ``tag`` that no earlier window left in
    ``accepted.seen``, and fills :class:`AcceptedPoints`, whose ``counts`` are all zero. Returns the
    number of events left after deduplication, and per polarity the number of points and of pillars.
    """
    width = len(pixels.x)
    height = len(pixels.y)
    sub_bits = pixels.sub_bits
    sub_mask = (1 << sub_bits) - 1
    seen, counts, cells, points = accepted
    # Scaled time is exactly num_bins−1 at the last instant: outside the time range.
    end = span if span > 0 else np.int64(1)
    kept = 0
    held_points = np.zeros(2, np.int64)
    pillars = np.zeros(2, np.int64)
    stopped = np.zeros(2, np.uint8)
    for i in range(len(events)):
        event = events[i]
        if event.x >= width or event.y >= height:
            continue
        if rules.one_per_pixel:
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
        place = pixels.x[event.x] + pixels.y[event.y]
        cell = place >> sub_bits
        if rules.time_cells > 1 and span > 0:
            scaled = np.float32(np.float64(rules.bins * dt) / span)
            z = np.int64(scaled * np.float32(rules.time_cells / rules.bins))
            cell += min(z, rules.time_cells - 1) * pixels.frame_cells
        held = counts[p, cell]
        if held >= rules.max_points:
            continue
        if held == 0:
            if pillars[p] >= rules.max_pillars:
                if rules.stop_at_overflow:
                    stopped[p] = 1
                continue
            pillars[p] += 1
        counts[p, cell] = held + 1
        if rules.time_steps > 0:
            dt = dt * rules.time_steps // end
        n = held_points[p]
        cells[p, n] = cell
        points[p, n] = dt << sub_bits | (place & sub_mask)
        held_points[p] = n + 1
    return kept, held_points, pillars


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
                pillars[n] = (cell - previous) << COUNT_BITS | held
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
