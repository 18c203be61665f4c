"""The bits of a packed window: what its integers hold, named once for kernels, readers and tests.

A pillar is a grid cell that holds a few points of one polarity. A packed window has, for each
polarity, two arrays:

``pillars`` uint32 ``[P]``
    ``step << COUNT_BITS | num_points``. Pillars are sorted by cell number
    ``(z·rows + y)·columns + x``; ``step`` is the difference to the pillar before it (the first one's
    own cell number), so a running sum gives the cells back.
``points`` ``[Q]``
    The points of all pillars in that order, earliest first. Preset ``release``: uint8, the time bin
    0…num_bins−2. Preset ``paper``: uint32, ``dt << sub_bits | sub`` with ``dt`` in µs since the
    window's first event, and ``sub`` the sensor pixel counted from the cell's first pixel,
    ``sub_y << bits_x | sub_x``; ``sub_bits`` is ``bits_x + bits_y``. With ``time_steps`` set, ``dt``
    is the step of the window's span instead, and uint16 is enough for the usual numbers.

These are bits on disk. numba compiles the names below into the kernels as constants and does not see
when this file changes: another value needs another :data:`KERNEL_VERSION` and an edit of the kernels.
"""

from typing import NamedTuple

#: Raised by one whenever a kernel's output changes; part of a cache's fingerprint.
KERNEL_VERSION = 1

#: Bits of an entry of ``pillars`` and of ``points``.
WORD_BITS = 32
#: Low bits of a packed pillar, which hold its number of points; the step stands above them.
COUNT_BITS = 3
COUNT_MASK = (1 << COUNT_BITS) - 1
#: The most points that a pillar can count.
MAX_POINTS_LIMIT = COUNT_MASK
#: The first cell number that a step cannot reach.
CELLS_LIMIT = 1 << (WORD_BITS - COUNT_BITS)


class CellState(NamedTuple):
    """Bits of a grid cell's state while the preset ``release`` packs a window.

    0 is an untouched cell. A pillar is ``occupied | polarity << polarity_shift | time bin``. A cell
    that is taken but gives no pillar is ``refused``.
    """

    bin_mask: int
    polarity_shift: int
    occupied: int
    refused: int


def cell_state(bin_bits: int) -> CellState:
    """The layout of a state whose time bin takes ``bin_bits`` bits."""
    return CellState((1 << bin_bits) - 1, bin_bits, 1 << (bin_bits + 1), 1 << (bin_bits + 2))
