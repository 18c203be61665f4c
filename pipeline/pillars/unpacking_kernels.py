"""Compiled loops that read packed pillars; :mod:`pipeline.pillars.unpacking` documents their shapes."""

# mypy: disallow-untyped-defs=false

from typing import NamedTuple

import numba as nb
import numpy as np

from pipeline.pillars.bit_layout import COUNT_BITS, COUNT_MASK

_jit = nb.njit(cache=True, nogil=True)


class PixelPlaces(NamedTuple):
    """Where the pixels of the preset ``paper`` are.

    Attributes:
        first_x: first sensor column of every grid column, int32 ``[columns]``.
        first_y: first sensor row of every grid row, int32 ``[rows]``.
        x: grid coordinate of every sensor column, float32 ``[width]``.
        y: grid coordinate of every sensor row, float32 ``[height]``.
        bits_x: low bits of a point, the pixel's column counted from the cell's first.
        bits_y: the bits above, its row.
    """

    first_x: np.ndarray
    first_y: np.ndarray
    x: np.ndarray
    y: np.ndarray
    bits_x: int
    bits_y: int


@_jit
def unpack_pillars(pillars, columns, rows, cells, max_points, num_points, coords):
    """Packed pillars of one window and polarity to counts and cells (z, y, x).

    Fills ``num_points`` int64 ``[P]`` and ``coords`` int64 ``[P, 3]``. Returns whether
    every count is within 1…max_points and every cell in the grid.
    """
    fits = True
    cell = np.int64(0)
    for i in range(len(pillars)):
        held = np.int64(pillars[i] & COUNT_MASK)
        fits &= (held >= 1) & (held <= max_points)
        num_points[i] = held
        cell += np.int64(pillars[i] >> COUNT_BITS)
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
def expand_paper(points, num_points, coords, places, time_scale, out):
    """Preset ``paper``: pixels and times to grid units, in float64 and rounded once.

    ``places`` are :class:`PixelPlaces`, ``time_scale`` is ``(factor, addend, divisor)``: a stored
    time ``d`` stands for ``(factor·d + addend) / divisor``. Returns whether every pixel is on the
    sensor; stops at the first that is not.
    """
    factor, addend, divisor = time_scale
    q = 0
    for i in range(len(num_points)):
        pixel_x = places.first_x[coords[i, 2]]
        pixel_y = places.first_y[coords[i, 1]]
        for slot in range(num_points[i]):
            point = points[q]
            x = pixel_x + (point & ((1 << places.bits_x) - 1))
            y = pixel_y + (point >> places.bits_x & ((1 << places.bits_y) - 1))
            if x >= len(places.x) or y >= len(places.y):
                return False
            out[i, slot, 0] = places.x[x]
            out[i, slot, 1] = places.y[y]
            time = np.int64(point >> (places.bits_x + places.bits_y))
            out[i, slot, 2] = np.float64(factor * time + addend) / divisor
            q += 1
    return True
