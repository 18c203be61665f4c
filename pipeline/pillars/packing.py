"""One window of events to event pillars: settings, the packed form, and its exact decoding.

A pillar is a grid cell that holds one to five points of one polarity. The kernels
(:mod:`pipeline.pillars.kernels`) produce pillars *packed* as integers, which is what the cache stores:

``pillars`` uint32 ``[P]``
    ``step << 3 | num_points``. Pillars of a polarity are sorted by cell number
    ``(z·rows + y)·columns + x``; ``step`` is the difference to the pillar before it (the first one's
    own cell number), so a running sum gives the cells back.
``points`` ``[Q]``
    The points of all pillars in that order, earliest first. Preset ``release``: uint8, the time bin
    0…3. Preset ``paper``: uint32, ``dt << sub_bits | sub`` with ``dt`` in µs since the window's first
    event and ``sub`` the sensor pixel counted from the cell's first pixel. With ``time_steps`` set,
    ``dt`` is the step of the window's span instead, and uint16 is enough for the usual numbers.

Decoding gives the float32 tensors of the paper's formulation to the bit, unless time is kept in steps;
see :func:`decode_points`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.errors import DataError, SettingsError
from pipeline.pillars import kernels as kernels

#: Raised by one whenever a kernel's output changes; part of a cache's fingerprint.
KERNEL_VERSION = 1
PRESETS = ("release", "paper")
COUNT_BITS = 3
MAX_POINTS_LIMIT = (1 << COUNT_BITS) - 1
MAX_TIME_STEPS = 1 << 12


@dataclass(frozen=True)
class PillarSettings:
    """How a window becomes pillars.

    ``preset``: ``release`` computes what the released code computes (coordinates truncated to
    integers, one event per cell over both polarities); ``paper`` keeps float coordinates and several
    points a pillar. ``sensor`` and ``grid`` are (width, height). ``num_bins``: time is scaled to
    0…num_bins−1. ``time_cells``: cells along time. ``max_points`` a pillar, ``max_pillars`` a
    polarity. ``dedup`` (paper): ``pixel`` keeps the earliest event per sensor pixel over both
    polarities, ``none`` keeps all. ``overflow`` (paper): ``skip`` refuses new pillars beyond
    ``max_pillars``; ``stop`` also drops every later event, as the release does. ``time_steps``
    (paper): 0 keeps each point's time to the µs; n > 0 keeps in which n-th of the window's span it
    lies, and decodes to the middle of that step, half a step off at most.
    """

    preset: str = "release"
    sensor: tuple[int, int] = (1280, 720)
    grid: tuple[int, int] = (512, 512)
    num_bins: int = 5
    time_cells: int = 1
    max_points: int = 5
    max_pillars: int = 100_000
    dedup: str = "pixel"
    overflow: str = "skip"
    time_steps: int = 0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise SettingsError(f"preset '{self.preset}' is unknown; choose release or paper.")
        if self.dedup not in ("pixel", "none") or self.overflow not in ("skip", "stop"):
            raise SettingsError("dedup is 'pixel' or 'none', overflow is 'skip' or 'stop'.")
        if not 1 <= self.max_points <= MAX_POINTS_LIMIT:
            raise SettingsError(f"max_points is {self.max_points}; choose 1…{MAX_POINTS_LIMIT}.")
        if min(*self.sensor, *self.grid, self.time_cells, self.max_pillars) < 1:
            raise SettingsError("sensor, grid, time_cells and max_pillars must be positive.")
        if max(self.sensor) > 1 << 14 or self.num_bins < 2 or self.num_bins > 255:
            raise SettingsError("sensor sides go up to 16384 pixels and num_bins from 2 to 255.")
        if self.time_steps and (
            self.preset != "paper"
            or not 2 <= self.time_steps <= MAX_TIME_STEPS
            or self.time_steps % self.time_cells
        ):
            raise SettingsError(
                f"time_steps is {self.time_steps}; choose a multiple of time_cells from 2 to "
                f"{MAX_TIME_STEPS} with the preset paper, or 0 for exact times."
            )
        if self.cells >= 1 << (32 - COUNT_BITS):
            raise SettingsError("the grid has too many cells; choose a coarser one.")
        if self.time_steps and self._step_bits > 32:
            raise SettingsError(
                f"{self.time_steps} time_steps and the pixels of a cell do not fit 32 bits; choose "
                "fewer steps or a finer grid."
            )

    @property
    def cells(self) -> int:
        """Number of cells of one polarity."""
        return self.grid[0] * self.grid[1] * self.time_cells

    @cached_property
    def column_of_pixel(self) -> np.ndarray:
        """Grid column of every sensor column, int32 ``[width]``: ``floor(x·columns / width)``."""
        width, columns = self.sensor[0], self.grid[0]
        return (np.arange(width) * columns // width).astype(np.int32)

    @cached_property
    def row_of_pixel(self) -> np.ndarray:
        """Grid row of every sensor row, int32 ``[height]``."""
        height, rows = self.sensor[1], self.grid[1]
        return (np.arange(height) * rows // height).astype(np.int32)

    @cached_property
    def first_pixel_of_column(self) -> np.ndarray:
        """First sensor column of every grid column, int32 ``[columns]``."""
        return np.searchsorted(self.column_of_pixel, np.arange(self.grid[0])).astype(np.int32)

    @cached_property
    def first_pixel_of_row(self) -> np.ndarray:
        """First sensor row of every grid row, int32 ``[rows]``."""
        return np.searchsorted(self.row_of_pixel, np.arange(self.grid[1])).astype(np.int32)

    @cached_property
    def sub_bits(self) -> tuple[int, int]:
        """Bits for a pixel's place in its cell, along x and along y."""
        widest = np.bincount(self.column_of_pixel).max() - 1
        tallest = np.bincount(self.row_of_pixel).max() - 1
        return int(widest).bit_length(), int(tallest).bit_length()

    @cached_property
    def x_of_pixel(self) -> np.ndarray:
        """Grid coordinate of every sensor column, float32 ``[width]``."""
        return (np.arange(self.sensor[0]) / self.sensor[0] * self.grid[0]).astype(np.float32)

    @cached_property
    def y_of_pixel(self) -> np.ndarray:
        """Grid coordinate of every sensor row, float32 ``[height]``."""
        return (np.arange(self.sensor[1]) / self.sensor[1] * self.grid[1]).astype(np.float32)

    @property
    def point_dtype(self) -> np.dtype:
        """Type of the packed ``points``."""
        if self.preset == "release":
            return np.dtype(np.uint8)
        return np.dtype(np.uint16 if self.time_steps and self._step_bits <= 16 else np.uint32)

    @property
    def _step_bits(self) -> int:
        """Bits of a point whose time is a step."""
        return (self.time_steps - 1).bit_length() + sum(self.sub_bits)

    def time_scale(self, span: int) -> tuple[int, int, int]:
        """``(factor, addend, divisor)``: a stored time ``d`` of the preset ``paper`` in a window of
        ``span`` µs decodes to ``(factor·d + addend) / divisor``, on the scale 0…num_bins−1."""
        last = self.num_bins - 1
        if self.time_steps:
            return 2 * last, last, 2 * self.time_steps
        return last, 0, max(span, 1)


@dataclass(frozen=True)
class EventCounts:
    """Events of one window after each step: read, inside the sensor, after deduplication."""

    read: int
    in_range: int
    kept: int
    positive_in_range: int


@dataclass(frozen=True)
class PackedWindow:
    """Pillars of one window as packed integers; index 0 of each pair is negative, 1 is positive.

    ``pillars``: two uint32 ``[P]``; ``points``: two ``[Q]``. ``t_first`` and ``span`` are µs: the
    first event inside the sensor, and the time from it to the last one.
    """

    pillars: tuple[np.ndarray, np.ndarray]
    points: tuple[np.ndarray, np.ndarray]
    t_first: int
    span: int
    counts: EventCounts
    was_sorted: bool


@dataclass(frozen=True)
class PillarTensors:
    """Pillars of one polarity as the network takes them.

    ``points``: float32 ``[P, max_points, 3]``, x, y, t in grid units, unused slots 0.
    ``num_points``: int64 ``[P]``. ``coords``: int64 ``[P, 3]``, cell z, y, x.
    """

    points: np.ndarray
    num_points: np.ndarray
    coords: np.ndarray


class Workspace:
    """Scratch grids the kernels reuse from window to window; one per thread."""

    def __init__(self, settings: PillarSettings) -> None:
        self.settings = settings
        if settings.preset == "release":
            # The smaller a cell's state, the more of the grid stays in the processor's cache.
            self.bin_bits = 5 if settings.num_bins <= 1 << 5 else 8
            state = np.uint8 if self.bin_bits == 5 else np.uint16
            self.cell_state = np.zeros(_padded(settings.grid[0] * settings.grid[1]), state)
            self.row_cells = settings.row_of_pixel * settings.grid[0]  # int32 [height]
            return
        width, height = settings.sensor
        bits_x, bits_y = settings.sub_bits
        sub_x = np.arange(width) - settings.first_pixel_of_column[settings.column_of_pixel]
        sub_y = np.arange(height) - settings.first_pixel_of_row[settings.row_of_pixel]
        row_cells = settings.row_of_pixel.astype(np.int64) * settings.grid[0]
        columns = settings.column_of_pixel.astype(np.int64)
        self.x_table = columns << (bits_x + bits_y) | sub_x  # int64 [width]
        self.y_table = row_cells << (bits_x + bits_y) | sub_y << bits_x  # int64 [height]
        self.seen = np.zeros(width * height, np.uint8)
        self._tag = 0
        self.count = np.zeros((2, _padded(settings.cells)), np.uint8)
        self.offset = np.zeros(settings.cells, np.int32)
        self.accepted = np.empty((2, 2, 0), np.uint32)

    def new_tag(self) -> int:
        """A mark that no pixel of ``seen`` carries: clearing it costs one pass in 255 windows."""
        self._tag += 1
        if self._tag == 256:
            self.seen[:] = 0
            self._tag = 1
        return self._tag

    def room_for(self, events: int) -> np.ndarray:
        """Cells and points of the accepted events, uint32 ``[2, 2, N]``, ``N`` at least ``events``."""
        if self.accepted.shape[2] < events:
            self.accepted = np.empty((2, 2, events + events // 4), np.uint32)
        return self.accepted


def _padded(cells: int) -> int:
    """``cells`` rounded up, so that the kernels can look at eight of them at once."""
    return -(-cells // 8) * 8


def pack_window(events: np.ndarray, workspace: Workspace) -> PackedWindow:
    """Events of one window to packed pillars.

    ``events``: ``EVENT_DTYPE [N]``, polarities checked. Events that are not sorted by time are sorted
    (stable) and reported by ``was_sorted``. A window without an event in range gives zero pillars;
    one whose events share a timestamp keeps them, at dt = 0. Raises :class:`DataError` when a window
    of the ``paper`` preset is longer than its packed time can hold.
    """
    settings = workspace.settings
    width, height = settings.sensor
    first, last, in_range, positive, was_sorted = kernels.window_facts(events, width, height)
    if not was_sorted:
        events = events[np.argsort(events["t"], kind="stable")]
        first, last, in_range, positive, _ = kernels.window_facts(events, width, height)
    if in_range == 0:
        nothing = np.empty(0, np.uint32), np.empty(0, settings.point_dtype)
        counts = EventCounts(len(events), 0, 0, 0)
        return PackedWindow((nothing[0],) * 2, (nothing[1],) * 2, 0, 0, counts, was_sorted)
    t_first = int(events["t"][first])
    span = int(events["t"][last]) - t_first
    inside = events[first : last + 1]
    if settings.preset == "release":
        pillars, points, kept = _pack_release(inside, t_first, span, workspace)
    else:
        pillars, points, kept = _pack_paper(inside, t_first, span, workspace)
    counts = EventCounts(len(events), in_range, kept, positive)
    return PackedWindow(pillars, points, t_first, span, counts, was_sorted)


_Pair = tuple[np.ndarray, np.ndarray]


def _pack_release(
    events: np.ndarray, t_first: int, span: int, workspace: Workspace
) -> tuple[_Pair, _Pair, int]:
    s = workspace.settings
    kept, pillars_by_polarity = kernels.mark_cells(
        events,
        t_first,
        span,
        s.column_of_pixel,
        workspace.row_cells,
        s.num_bins - 1,
        workspace.bin_bits,
        s.max_pillars,
        workspace.cell_state,
    )
    source = -1
    if min(kept) == 0:
        # The release copies the other polarity's events into an empty one; ours must match.
        source = int(np.argmax(kept))
        pillars_by_polarity = (pillars_by_polarity[source],) * 2
    pillars = tuple(np.empty(n, np.uint32) for n in pillars_by_polarity)
    points = tuple(np.empty(n, np.uint8) for n in pillars_by_polarity)
    kernels.emit_cells(
        workspace.cell_state,
        s.grid[0] * s.grid[1],
        s.time_cells,
        s.num_bins - 1,
        workspace.bin_bits,
        pillars[0],
        points[0],
        pillars[1],
        points[1],
    )
    if source >= 0:
        pillars, points = (pillars[source],) * 2, (points[source],) * 2
    return (pillars[0], pillars[1]), (points[0], points[1]), sum(kept)


def _pack_paper(
    events: np.ndarray, t_first: int, span: int, workspace: Workspace
) -> tuple[_Pair, _Pair, int]:
    s = workspace.settings
    sub_bits = sum(s.sub_bits)
    if not s.time_steps and span >> (32 - sub_bits):
        raise DataError(
            f"a window spans {span} µs; the paper preset stores at most "
            f"{(1 << (32 - sub_bits)) - 1} µs a window on this grid."
        )
    cells, values = workspace.room_for(len(events))
    kept, points_by_polarity, pillars_by_polarity = kernels.accept_points(
        events,
        t_first,
        span,
        s.time_steps,
        workspace.x_table,
        workspace.y_table,
        sub_bits,
        s.grid[0] * s.grid[1],
        s.num_bins - 1,
        s.time_cells,
        s.max_points,
        s.max_pillars,
        s.dedup == "pixel",
        s.overflow == "stop",
        workspace.seen,
        workspace.new_tag(),
        workspace.count,
        cells,
        values,
    )
    pillars, points = [], []
    for polarity in (0, 1):
        n = int(points_by_polarity[polarity])
        packed = np.empty(int(pillars_by_polarity[polarity]), np.uint32)
        placed = np.empty(n, s.point_dtype)
        kernels.place_points(
            cells[polarity, :n],
            values[polarity, :n],
            workspace.count[polarity],
            workspace.offset,
            packed,
            placed,
        )
        pillars.append(packed)
        points.append(placed)
    return (pillars[0], pillars[1]), (points[0], points[1]), int(kept)


def decode_points(
    pillars: np.ndarray, points: np.ndarray, span: int, settings: PillarSettings
) -> PillarTensors:
    """Packed pillars of one window and polarity to the network's tensors, exactly.

    ``pillars``: uint32 ``[P]``; ``points``: ``[Q]``; ``span`` in µs. Preset ``paper``: the coordinates
    are ``x/width·columns``, ``y/height·rows`` and ``(num_bins−1)·dt/span``, or with time in steps
    ``(num_bins−1)·(2·step+1)/(2·time_steps)``, computed in float64 and cast to float32. Preset
    ``release``: the cell's own integers and the time bin.
    Raises :class:`DataError` when the arrays contradict each other.
    """
    n = len(pillars)
    out = np.zeros((n, settings.max_points, 3), np.float32)
    num_points = np.empty(n, np.int64)
    coords = np.empty((n, 3), np.int64)
    fits = kernels.unpack_pillars(
        pillars, *settings.grid, settings.cells, settings.max_points, num_points, coords
    )
    if fits and num_points.sum() == len(points):
        if settings.preset == "release":
            kernels.expand_release(points, num_points, coords, out)
        else:
            fits = kernels.expand_paper(
                points,
                num_points,
                coords,
                settings.first_pixel_of_column,
                settings.first_pixel_of_row,
                settings.x_of_pixel,
                settings.y_of_pixel,
                *settings.sub_bits,
                settings.time_scale(span),
                out,
            )
    else:
        fits = False
    if not fits:
        raise DataError(
            "packed pillars and points do not fit each other or the settings; verify the cache."
        )
    return PillarTensors(out, num_points, coords)
