"""Compiled loops of the candidate layouts; shapes and meaning are those of their callers.

``starts`` (int64 ``[S+1]``) is the first row of each of S segments, here and throughout.
"""

import numba as nb
import numpy as np

_jit = nb.njit(cache=True, nogil=True)


@_jit
def steps(cells, counts, starts):
    """uint32 ``[P]``: ``step << 3 | count``."""
    out = np.empty(len(cells), np.uint32)
    for s in range(len(starts) - 1):
        previous = np.uint32(0)
        for i in range(starts[s], starts[s + 1]):
            out[i] = (cells[i] - previous) << np.uint32(3) | np.uint32(counts[i])
            previous = cells[i]
    return out


@_jit
def from_steps(packed, starts):
    cells = np.empty(len(packed), np.uint32)
    counts = np.empty(len(packed), np.uint8)
    for s in range(len(starts) - 1):
        cell = np.uint32(0)
        for i in range(starts[s], starts[s + 1]):
            cell += packed[i] >> np.uint32(3)
            cells[i] = cell
            counts[i] = packed[i] & np.uint32(7)
    return cells, counts


@_jit
def bitmap(cells, starts, size):
    """uint8 ``[S·size]``: cell c is bit ``c % 8`` of its segment's byte ``c // 8``."""
    out = np.zeros((len(starts) - 1) * size, np.uint8)
    for s in range(len(starts) - 1):
        for i in range(starts[s], starts[s + 1]):
            out[s * size + np.int64(cells[i] >> 3)] |= np.uint8(1 << (cells[i] & 7))
    return out


_BITS = np.zeros((256, 8), np.uint8)  # places of the ones of a byte
_ONES = np.zeros(256, np.int64)
for _byte in range(256):
    _places = [bit for bit in range(8) if _byte >> bit & 1]
    _BITS[_byte, : len(_places)] = _places
    _ONES[_byte] = len(_places)


@_jit
def from_bitmap(bits, starts, size):
    cells = np.empty(starts[-1], np.uint32)
    n = 0
    for s in range(len(starts) - 1):
        for byte in range(size):
            value = bits[s * size + byte]
            if value:
                for k in range(_ONES[value]):
                    cells[n] = byte << 3 | _BITS[value, k]
                    n += 1
    return cells


@_jit
def runs(cells, starts):
    """uint8 rows: empty cells, then occupied cells, in turn; 255 and a 0 where a length is longer."""
    out = np.empty(4 * len(cells) + 4096 * len(starts), np.uint8)
    ends = np.zeros(len(starts), np.int64)
    n = 0
    for s in range(len(starts) - 1):
        next_cell = np.int64(0)
        i = starts[s]
        while i < starts[s + 1]:
            gap = np.int64(cells[i]) - next_cell
            first = i
            while i < starts[s + 1] and np.int64(cells[i]) - np.int64(cells[first]) == i - first:
                i += 1
            run = i - first
            next_cell = np.int64(cells[first]) + run
            while gap > 255:
                out[n] = 255
                out[n + 1] = 0
                gap -= 255
                n += 2
            while run > 255:
                out[n] = gap
                out[n + 1] = 255
                gap = 0
                run -= 255
                n += 2
            out[n] = gap
            out[n + 1] = run
            n += 2
        ends[s + 1] = n
    return out[:n].copy(), ends


@_jit
def from_runs(rows, starts, pillar_starts):
    cells = np.empty(pillar_starts[-1], np.uint32)
    n = 0
    for s in range(len(starts) - 1):
        cell = np.uint32(0)
        for i in range(starts[s], starts[s + 1], 2):
            cell += rows[i]
            for _ in range(rows[i + 1]):
                cells[n] = cell
                cell += np.uint32(1)
                n += 1
    return cells


@_jit
def short_steps(cells, low, starts, bits, dtype):
    """uint8 or uint16 rows: ``step << bits | low``; the longest step is one forward without a pillar."""
    longest = (1 << (np.empty(0, dtype).itemsize * 8 - bits)) - 1
    ends = np.zeros(len(starts), np.int64)
    for s in range(len(starts) - 1):
        ends[s + 1] = ends[s]
        previous = np.int64(0)
        for i in range(starts[s], starts[s + 1]):
            ends[s + 1] += 1 + (np.int64(cells[i]) - previous) // longest
            previous = np.int64(cells[i])
    out = np.empty(ends[-1], dtype)
    n = 0
    for s in range(len(starts) - 1):
        previous = np.int64(0)
        for i in range(starts[s], starts[s + 1]):
            step = np.int64(cells[i]) - previous
            previous = np.int64(cells[i])
            while step >= longest:
                out[n] = longest << bits
                step -= longest
                n += 1
            out[n] = step << bits | np.int64(low[i])
            n += 1
    return out, ends


@_jit
def from_short_steps(rows, starts, pillar_starts, bits):
    cells = np.empty(pillar_starts[-1], np.uint32)
    low = np.empty(pillar_starts[-1], np.uint8)
    longest = (1 << (rows.itemsize * 8 - bits)) - 1
    mask = (1 << bits) - 1
    n = 0
    for s in range(len(starts) - 1):
        cell = np.uint32(0)
        for i in range(starts[s], starts[s + 1]):
            step = np.uint32(rows[i] >> bits)
            cell += step
            if step != longest:
                cells[n] = cell
                low[n] = rows[i] & mask
                n += 1
    return cells, low


@_jit
def point_steps(cells, counts, points, starts, bits, dtype):
    """uint8 or uint16 rows, one a point: ``step << bits | pixel``.

    ``step`` is that to the point's pillar, one more for a segment's first; so 0 is the same pillar. A
    row with the longest step is no point but one cell less than that forward.
    """
    forward = (1 << (np.empty(0, dtype).itemsize * 8 - bits)) - 1
    ends = np.zeros(len(starts), np.int64)
    for s in range(len(starts) - 1):
        ends[s + 1] = ends[s]
        previous = np.int64(-1)
        for i in range(starts[s], starts[s + 1]):
            ends[s + 1] += counts[i] + (np.int64(cells[i]) - previous - 1) // (forward - 1)
            previous = np.int64(cells[i])
    out = np.empty(ends[-1], dtype)
    mask = (1 << bits) - 1
    n = 0
    q = 0
    for s in range(len(starts) - 1):
        previous = np.int64(-1)
        for i in range(starts[s], starts[s + 1]):
            step = np.int64(cells[i]) - previous
            previous = np.int64(cells[i])
            while step >= forward:
                out[n] = forward << bits
                step -= forward - 1
                n += 1
            for _ in range(counts[i]):
                out[n] = step << bits | (np.int64(points[q]) & mask)
                step = np.int64(0)
                n += 1
                q += 1
    return out, ends


@_jit
def from_point_steps(keys, dt, starts, pillar_starts, point_starts, bits):
    cells = np.empty(pillar_starts[-1], np.uint32)
    counts = np.empty(pillar_starts[-1], np.uint8)
    points = np.empty(point_starts[-1], np.uint32)
    forward = np.uint32((1 << (keys.itemsize * 8 - bits)) - 1)
    mask = np.uint32((1 << bits) - 1)
    n = -1
    q = 0
    for s in range(len(starts) - 1):
        cell = np.uint32(0xFFFFFFFF)  # one before the first
        held = np.uint8(0)
        for i in range(starts[s], starts[s + 1]):
            step = np.uint32(keys[i]) >> np.uint32(bits)
            if step == forward:
                cell += step - np.uint32(1)
                continue
            # Without a branch: which points open a pillar is as good as random.
            opens = step != 0
            cell += step
            n += opens
            held = np.uint8(1) if opens else np.uint8(held + 1)
            cells[n] = cell
            counts[n] = held
            points[q] = np.uint32(dt[q]) << np.uint32(bits) | np.uint32(keys[i]) & mask
            q += 1
    return cells, counts, points


@_jit
def pillars_of_rows(cells, starts, rows, columns):
    """uint16 ``[S·rows]``: pillars of each grid row of each segment."""
    out = np.zeros((len(starts) - 1) * rows, np.uint16)
    for s in range(len(starts) - 1):
        for i in range(starts[s], starts[s + 1]):
            out[s * rows + np.int64(cells[i]) // columns] += 1
    return out


@_jit
def from_rows(packed, held, rows, columns):
    cells = np.empty(len(packed), np.uint32)
    low = np.empty(len(packed), np.uint8)
    n = 0
    for row in range(len(held)):
        first = np.uint32(row % rows * columns)
        for _ in range(held[row]):
            cells[n] = first + (packed[n] & np.uint32(511))
            low[n] = packed[n] >> 9
            n += 1
    return cells, low


@_jit
def quads(values, starts):
    """uint8 rows: four values of two bits, the first in the low bits; segments begin a new byte."""
    ends = np.zeros(len(starts), np.int64)
    for s in range(len(starts) - 1):
        ends[s + 1] = ends[s] + (starts[s + 1] - starts[s] + 3) // 4
    out = np.zeros(ends[-1], np.uint8)
    for s in range(len(starts) - 1):
        for i in range(starts[s + 1] - starts[s]):
            out[ends[s] + i // 4] |= values[starts[s] + i] << np.uint8(2 * (i % 4))
    return out, ends


@_jit
def from_quads(rows, starts, value_starts):
    out = np.empty(value_starts[-1], np.uint8)
    for s in range(len(starts) - 1):
        for i in range(value_starts[s + 1] - value_starts[s]):
            out[value_starts[s] + i] = rows[starts[s] + i // 4] >> np.uint8(2 * (i % 4)) & 3
    return out


@_jit
def apart(points, bits):
    """uint16 dt and uint8 pixel of packed points; a window is shorter than 65 536 µs."""
    dt = np.empty(len(points), np.uint16)
    sub = np.empty(len(points), np.uint8)
    for i in range(len(points)):
        dt[i] = points[i] >> bits
        sub[i] = points[i] & ((1 << bits) - 1)
    return dt, sub


@_jit
def from_apart(dt, sub, bits):
    points = np.empty(len(dt), np.uint32)
    for i in range(len(dt)):
        points[i] = np.uint32(dt[i]) << np.uint32(bits) | sub[i]
    return points


@_jit
def from_planes(low, high, sub, bits):
    points = np.empty(len(low), np.uint32)
    for i in range(len(low)):
        dt = np.uint32(high[i]) << np.uint32(8) | low[i]
        points[i] = dt << np.uint32(bits) | sub[i]
    return points


@_jit
def time_steps(points, starts, bits):
    """uint32 ``[Q]``: dt less the point's before it, 0, −1, 1, −2 … as 0, 1, 2, 3 …, over the pixel."""
    out = np.empty(len(points), np.uint32)
    for s in range(len(starts) - 1):
        previous = np.int64(0)
        for i in range(starts[s], starts[s + 1]):
            dt = np.int64(points[i] >> bits)
            step = dt - previous
            previous = dt
            folded = step << 1 if step >= 0 else -(step << 1) - 1
            out[i] = folded << bits | (np.int64(points[i]) & ((1 << bits) - 1))
    return out


@_jit
def from_time_steps(rows, starts, bits):
    points = np.empty(len(rows), np.uint32)
    for s in range(len(starts) - 1):
        dt = np.int64(0)
        for i in range(starts[s], starts[s + 1]):
            folded = np.int64(rows[i] >> bits)
            dt += -((folded + 1) >> 1) if folded & 1 else folded >> 1
            points[i] = dt << bits | (np.int64(rows[i]) & ((1 << bits) - 1))
    return points


@_jit
def grid(cells, bins, starts, size):
    """uint8 ``[W·size]``: negative | positive << 1 | time bin << 2 of each cell of a window."""
    out = np.zeros((len(starts) - 1) // 2 * size, np.uint8)
    for s in range(len(starts) - 1):
        for i in range(starts[s], starts[s + 1]):
            out[s // 2 * size + np.int64(cells[i])] |= np.uint8(1 << (s & 1) | bins[i] << 2)
    return out


@_jit
def from_grid(states, starts, size):
    cells = np.empty(starts[-1], np.uint32)
    bins = np.empty(starts[-1], np.uint8)
    n = starts[:-1].copy()
    for window in range(len(n) // 2):
        for cell in range(size):
            state = states[window * size + cell]
            if state:
                for polarity in range(2):
                    if state >> polarity & 1:
                        k = n[2 * window + polarity]
                        cells[k] = cell
                        bins[k] = state >> 2
                        n[2 * window + polarity] = k + 1
    return cells, bins
