"""One window of events to packed pillars; :mod:`pipeline.pillars.bit_layout` says what they hold."""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import DataError
from pipeline.pillars import packing_kernels as kernels
from pipeline.pillars.bit_layout import WORD_BITS, cell_state
from pipeline.pillars.encoding import PillarEncoding


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

    Attributes:
        pillars: two uint32 ``[P]``.
        points: two ``[Q]`` of the encoding's ``point_dtype``.
        t_first: µs, the first event inside the sensor.
        span: µs from it to the last event inside the sensor.
        counts: events by what became of them.
        was_sorted: the events came in the order of time.
    """

    pillars: tuple[np.ndarray, np.ndarray]
    points: tuple[np.ndarray, np.ndarray]
    t_first: int
    span: int
    counts: EventCounts
    was_sorted: bool


class Workspace:
    """Scratch grids the kernels reuse from window to window; one per thread."""

    def __init__(self, encoding: PillarEncoding) -> None:
        self.encoding = encoding
        if encoding.settings.preset == "release":
            self._prepare_release()
        else:
            self._prepare_paper()

    def _prepare_release(self) -> None:
        columns, rows = self.encoding.settings.grid
        # The smaller a cell's state, the more of the grid stays in the processor's cache.
        small = self.encoding.settings.num_bins <= 1 << 5
        self.state_bits = cell_state(5 if small else 8)
        self.cell_state = np.zeros(_padded(columns * rows), np.uint8 if small else np.uint16)
        self.row_cells = self.encoding.row_of_pixel * columns  # int32 [height]

    def _prepare_paper(self) -> None:
        encoding, settings = self.encoding, self.encoding.settings
        columns, rows = settings.grid
        width, height = encoding.sensor
        bits_x, bits_y = encoding.sub_bits
        sub_x = np.arange(width) - encoding.first_pixel_of_column[encoding.column_of_pixel]
        sub_y = np.arange(height) - encoding.first_pixel_of_row[encoding.row_of_pixel]
        column_cells = encoding.column_of_pixel.astype(np.int64)
        row_cells = encoding.row_of_pixel.astype(np.int64) * columns
        self.pixels = kernels.PixelCells(
            x=column_cells << (bits_x + bits_y) | sub_x,
            y=row_cells << (bits_x + bits_y) | sub_y << bits_x,
            sub_bits=bits_x + bits_y,
            frame_cells=columns * rows,
        )
        self.rules = kernels.PaperRules(
            bins=settings.num_bins - 1,
            time_cells=settings.time_cells,
            time_steps=settings.time_steps,
            max_points=settings.max_points,
            max_pillars=settings.max_pillars,
            one_per_pixel=settings.dedup == "pixel",
            stop_at_overflow=settings.overflow == "stop",
        )
        self.offset = np.zeros(settings.cells, np.int32)
        nothing = np.empty((2, 0), np.uint32)
        self._tag = 0
        self._accepted = kernels.AcceptedPoints(
            seen=np.zeros(width * height, np.uint8),
            counts=np.zeros((2, _padded(settings.cells)), np.uint8),
            cells=nothing,
            points=nothing,
        )

    def new_tag(self) -> int:
        """A mark that no pixel of ``seen`` carries: clearing it costs one pass in 255 windows."""
        self._tag += 1
        if self._tag == 256:
            self._accepted.seen[:] = 0
            self._tag = 1
        return self._tag

    def room_for(self, events: int) -> kernels.AcceptedPoints:
        """Scratch for the accepted points of at least this many events."""
        if self._accepted.cells.shape[1] < events:
            cells, points = np.empty((2, 2, events + events // 4), np.uint32)
            self._accepted = self._accepted._replace(cells=cells, points=points)
        return self._accepted


def _padded(cells: int) -> int:
    """``cells`` rounded up, so that the kernels can look at eight of them at once."""
    return -(-cells // 8) * 8


def pack_window(events: np.ndarray, workspace: Workspace) -> PackedWindow:
    """Events of one window to packed pillars.

    Args:
        events: ``EVENT_DTYPE [N]``, polarities checked. Events that are not sorted by time are
            sorted (stable) and reported by ``was_sorted``.
        workspace: of the encoding to pack by.

    Returns:
        The window. Without an event in range it has zero pillars; one whose events share a timestamp
        keeps them, at dt = 0.

    Raises:
        DataError: a window of the preset ``paper`` is longer than its packed time can hold.
    """
    encoding = workspace.encoding
    width, height = encoding.sensor
    first, last, in_range, positive, was_sorted = kernels.window_facts(events, width, height)
    if not was_sorted:
        events = events[np.argsort(events["t"], kind="stable")]
        first, last, in_range, positive, _ = kernels.window_facts(events, width, height)
    if in_range == 0:
        nothing = np.empty(0, np.uint32), np.empty(0, encoding.point_dtype)
        counts = EventCounts(len(events), 0, 0, 0)
        return PackedWindow((nothing[0],) * 2, (nothing[1],) * 2, 0, 0, counts, was_sorted)
    t_first = int(events["t"][first])
    span = int(events["t"][last]) - t_first
    inside = events[first : last + 1]
    pack = _pack_release if encoding.settings.preset == "release" else _pack_paper
    pillars, points, kept = pack(inside, t_first, span, workspace)
    counts = EventCounts(len(events), in_range, kept, positive)
    return PackedWindow(pillars, points, t_first, span, counts, was_sorted)


_Pair = tuple[np.ndarray, np.ndarray]


def _pack_release(
    events: np.ndarray, t_first: int, span: int, workspace: Workspace
) -> tuple[_Pair, _Pair, int]:
    settings = workspace.encoding.settings
    kept, pillars_by_polarity = kernels.mark_cells(
        events,
        t_first,
        span,
        workspace.encoding.column_of_pixel,
        workspace.row_cells,
        settings.num_bins - 1,
        settings.max_pillars,
        workspace.state_bits,
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
        settings.grid[0] * settings.grid[1],
        settings.time_cells,
        settings.num_bins - 1,
        workspace.state_bits,
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
    rules, pixels = workspace.rules, workspace.pixels
    time_bits = WORD_BITS - pixels.sub_bits
    if not rules.time_steps and span >> time_bits:
        raise DataError(
            f"a window spans {span} µs; the paper preset stores at most "
            f"{(1 << time_bits) - 1} µs a window on this grid; choose the preset release."
        )
    tag = workspace.new_tag()
    accepted = workspace.room_for(len(events))
    kept, points_by_polarity, pillars_by_polarity = kernels.accept_points(
        events, t_first, span, rules, pixels, tag, accepted
    )
    pillars, points = [], []
    for polarity in (0, 1):
        n = int(points_by_polarity[polarity])
        packed = np.empty(int(pillars_by_polarity[polarity]), np.uint32)
        placed = np.empty(n, workspace.encoding.point_dtype)
        kernels.place_points(
            accepted.cells[polarity, :n],
            accepted.points[polarity, :n],
            accepted.counts[polarity],
            workspace.offset,
            packed,
            placed,
        )
        pillars.append(packed)
        points.append(placed)
    return (pillars[0], pillars[1]), (points[0], points[1]), int(kept)
