"""Ways to store the pillars of windows as arrays of integers, each with its exact way back.

A segment is one polarity of one window; segment ``2·window + polarity`` of n windows, 0 negative. The
default grid is meant throughout: 512×512 cells, one time cell, three bits for a pixel in its cell.
:mod:`benchmarks.layouts` measures these candidates; :mod:`pipeline` uses the one called `steps`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks import layout_kernels as kernels
from pipeline.pillars.encoding import PillarEncoding
from pipeline.pillars.packing import PackedWindow
from pipeline.pillars.unpacking import decode_points

COLUMNS = ROWS = 512
CELLS = COLUMNS * ROWS
BITMAP_BYTES = CELLS // 8


@dataclass(frozen=True)
class Pillars:
    """Pillars of n windows, segment by segment and sorted by cell: what every candidate gives back.

    ``cells`` uint32 ``[P]``, ``counts`` uint8 ``[P]`` (points of a pillar), ``points`` ``[Q]`` as in
    :mod:`pipeline.pillars.bit_layout`, ``offsets`` int64 ``[2n+1, 2]`` first pillar and point of each
    segment, ``tensors`` float32 ``[P, 5, 3]`` and ``coords`` int64 ``[P, 3]`` the same as the network
    takes them.
    """

    cells: np.ndarray
    counts: np.ndarray
    points: np.ndarray
    offsets: np.ndarray
    tensors: np.ndarray
    coords: np.ndarray

    def part(self, start: int, stop: int) -> "Pillars":
        """Windows ``start`` to ``stop`` (exclusive)."""
        offsets = self.offsets[2 * start : 2 * stop + 1]
        (p0, q0), (p1, q1) = offsets[0], offsets[-1]
        return Pillars(
            self.cells[p0:p1],
            self.counts[p0:p1],
            self.points[q0:q1],
            offsets - offsets[0],
            self.tensors[p0:p1],
            self.coords[p0:p1],
        )

    def repeated(self, times: int) -> "Pillars":
        """All windows ``times`` over."""
        shifts = np.arange(times)[:, None, None] * self.offsets[-1]
        body = (self.offsets[:-1] + shifts).reshape(-1, 2)
        return Pillars(
            np.tile(self.cells, times),
            np.tile(self.counts, times),
            np.tile(self.points, times),
            np.concatenate([body, times * self.offsets[-1:]]),
            np.tile(self.tensors, (times, 1, 1)),
            np.tile(self.coords, (times, 1)),
        )


def pillars_of(windows: list[PackedWindow], encoding: PillarEncoding) -> Pillars:
    """Packed windows as :class:`Pillars`, by the pipeline's own decoding."""
    tensors, sizes, points = [], [(0, 0)], []
    for window in windows:
        for polarity in (0, 1):
            packed, own = window.pillars[polarity], window.points[polarity]
            tensors.append(decode_points(packed, own, window.span, encoding))
            points.append(own)
            sizes.append((len(packed), len(own)))
    coords = np.concatenate([t.coords for t in tensors])
    z, y, x = coords.T
    return Pillars(
        cells=((z * ROWS + y) * COLUMNS + x).astype(np.uint32),
        counts=np.concatenate([t.num_points for t in tensors]).astype(np.uint8),
        points=np.concatenate(points),
        offsets=np.cumsum(sizes, axis=0),
        tensors=np.concatenate([t.points for t in tensors]),
        coords=coords,
    )


class Rows(NamedTuple):
    """Rows of one stored array, and int64 ``[2n+1]`` the first of them that each segment has."""

    rows: np.ndarray
    starts: np.ndarray


Arrays = dict[str, Rows]
Forms = tuple[np.ndarray, ...]


def packed_form(pillars: Pillars) -> Forms:
    """What the device is given: cells, counts, points."""
    return pillars.cells, pillars.counts, pillars.points


@dataclass(frozen=True)
class Layout:
    """One candidate.

    ``decode`` takes the arrays' rows of some consecutive windows and their offsets, and gives what
    ``form`` says of them.
    """

    name: str
    holds: str
    encode: Callable[[Pillars], Arrays]
    decode: Callable[[Arrays, np.ndarray], Forms]
    form: Callable[[Pillars], Forms] = packed_form


@dataclass(frozen=True)
class _CellCoding:
    """A way to store cells and counts."""

    name: str
    holds: str
    encode: Callable[[Pillars], Arrays]
    decode: Callable[[Arrays, np.ndarray], Forms]


@dataclass(frozen=True)
class _PointCoding:
    """A way to store points."""

    name: str
    holds: str
    encode: Callable[[Pillars], Arrays]
    decode: Callable[[Arrays, np.ndarray], np.ndarray]


def _pair(cells: _CellCoding, points: _PointCoding) -> Layout:
    return Layout(
        f"{cells.name} + {points.name}" if points.name else cells.name,
        f"{cells.holds}; {points.holds}",
        lambda pillars: {**cells.encode(pillars), **points.encode(pillars)},
        lambda arrays, offsets: (*cells.decode(arrays, offsets), points.decode(arrays, offsets)),
    )


# --- cells and counts -------------------------------------------------------------------------------


def _encode_packed(p: Pillars) -> Arrays:
    return {"pillars": Rows(p.cells | p.counts.astype(np.uint32) << 18, p.offsets[:, 0])}


def _decode_packed(arrays: Arrays, offsets: np.ndarray) -> Forms:
    packed = arrays["pillars"].rows
    return packed & (CELLS - 1), (packed >> 18).astype(np.uint8)


def _encode_steps(p: Pillars) -> Arrays:
    return {"pillars": Rows(kernels.steps(p.cells, p.counts, p.offsets[:, 0]), p.offsets[:, 0])}


def _decode_steps(arrays: Arrays, offsets: np.ndarray) -> Forms:
    return kernels.from_steps(*arrays["pillars"])


def _encode_bitmap(p: Pillars) -> Arrays:
    segments = np.arange(len(p.offsets))
    bits = kernels.bitmap(p.cells, p.offsets[:, 0], BITMAP_BYTES)
    arrays = {"bitmap": Rows(bits, segments * BITMAP_BYTES)}
    return arrays | _stored_counts(p)


def _decode_bitmap(arrays: Arrays, offsets: np.ndarray) -> Forms:
    cells = kernels.from_bitmap(arrays["bitmap"].rows, offsets[:, 0], BITMAP_BYTES)
    return cells, _counts(arrays, len(cells))


def _encode_runs(p: Pillars) -> Arrays:
    return {"runs": Rows(*kernels.runs(p.cells, p.offsets[:, 0]))} | _stored_counts(p)


def _decode_runs(arrays: Arrays, offsets: np.ndarray) -> Forms:
    cells = kernels.from_runs(*arrays["runs"], offsets[:, 0])
    return cells, _counts(arrays, len(cells))


def _stored_counts(p: Pillars) -> Arrays:
    """Nothing in the preset ``release``, where every pillar has one point."""
    if p.points.dtype == np.uint8:
        return {}
    return {"counts": Rows(p.counts, p.offsets[:, 0])}


def _counts(arrays: Arrays, pillars: int) -> np.ndarray:
    return arrays["counts"].rows if "counts" in arrays else np.ones(pillars, np.uint8)


def _encode_short(dtype: type) -> Callable[[Pillars], Arrays]:
    def encode(p: Pillars) -> Arrays:
        return {"pillars": Rows(*kernels.short_steps(p.cells, p.counts, p.offsets[:, 0], 3, dtype))}

    return encode


def _decode_short(arrays: Arrays, offsets: np.ndarray) -> Forms:
    return kernels.from_short_steps(*arrays["pillars"], offsets[:, 0], 3)


def _encode_rows(p: Pillars) -> Arrays:
    return _rows(p, p.counts)


def _rows(p: Pillars, low: np.ndarray) -> Arrays:
    columns = (p.cells & (COLUMNS - 1)).astype(np.uint16) | low.astype(np.uint16) << 9
    held = kernels.pillars_of_rows(p.cells, p.offsets[:, 0], ROWS, COLUMNS)
    return {
        "columns": Rows(columns, p.offsets[:, 0]),
        "rows": Rows(held, np.arange(len(p.offsets)) * ROWS),
    }


def _decode_rows(arrays: Arrays, offsets: np.ndarray) -> Forms:
    return kernels.from_rows(arrays["columns"].rows, arrays["rows"].rows, ROWS, COLUMNS)


PACKED = _CellCoding("packed", "uint32 cell | count << 18", _encode_packed, _decode_packed)
STEPS = _CellCoding("steps", "uint32 step << 3 | count", _encode_steps, _decode_steps)
BITMAP = _CellCoding("bitmap", "a bit a cell, uint8 counts", _encode_bitmap, _decode_bitmap)
RUNS = _CellCoding("runs", "uint8 gap and run in turn, uint8 counts", _encode_runs, _decode_runs)
BYTES = _CellCoding(
    "byte steps", "uint8 step << 3 | count, more where long", _encode_short(np.uint8), _decode_short
)
SHORTS = _CellCoding(
    "short steps",
    "uint16 step << 3 | count, more where long",
    _encode_short(np.uint16),
    _decode_short,
)
ROWWISE = _CellCoding(
    "rows", "uint16 column | count << 9, uint16 pillars a row", _encode_rows, _decode_rows
)


# --- points -----------------------------------------------------------------------------------------


def _encode_words(p: Pillars) -> Arrays:
    return {"points": Rows(p.points, p.offsets[:, 1])}


def _decode_words(arrays: Arrays, offsets: np.ndarray) -> np.ndarray:
    return arrays["points"].rows


def _encode_quads(p: Pillars) -> Arrays:
    return {"points": Rows(*kernels.quads(p.points, p.offsets[:, 1]))}


def _decode_quads(arrays: Arrays, offsets: np.ndarray) -> np.ndarray:
    return kernels.from_quads(*arrays["points"], offsets[:, 1])


BINS = _PointCoding("", "uint8 time bin", _encode_words, _decode_words)
QUADS = _PointCoding("quads", "four time bins a byte", _encode_quads, _decode_quads)
WORDS = _PointCoding("", "uint32 dt << 3 | pixel", _encode_words, _decode_words)


def _time_first(bits: int) -> _PointCoding:
    def encode(p: Pillars) -> Arrays:
        sub = p.points & ((1 << bits) - 1)
        return {"points": Rows(p.points >> bits | sub << 16, p.offsets[:, 1])}

    def decode(arrays: Arrays, offsets: np.ndarray) -> np.ndarray:
        rows = arrays["points"].rows
        return (rows & 0xFFFF) << bits | rows >> 16

    return _PointCoding("", "uint32 dt | pixel << 16", encode, decode)


def _apart(bits: int) -> _PointCoding:
    def encode(p: Pillars) -> Arrays:
        dt, sub = kernels.apart(p.points, bits)
        return {"dt": Rows(dt, p.offsets[:, 1]), "sub": Rows(sub, p.offsets[:, 1])}

    def decode(arrays: Arrays, offsets: np.ndarray) -> np.ndarray:
        return kernels.from_apart(arrays["dt"].rows, arrays["sub"].rows, bits)

    return _PointCoding("apart", "uint16 dt, uint8 pixel", encode, decode)


def _planes(bits: int) -> _PointCoding:
    def encode(p: Pillars) -> Arrays:
        dt, sub = kernels.apart(p.points, bits)
        planes = {"low": dt.astype(np.uint8), "high": (dt >> 8).astype(np.uint8), "sub": sub}
        return {name: Rows(rows, p.offsets[:, 1]) for name, rows in planes.items()}

    def decode(arrays: Arrays, offsets: np.ndarray) -> np.ndarray:
        return kernels.from_planes(*(arrays[name].rows for name in ("low", "high", "sub")), bits)

    return _PointCoding("planes", "uint8 dt, its high byte, pixel", encode, decode)


def _time_steps(bits: int) -> _PointCoding:
    def encode(p: Pillars) -> Arrays:
        return {
            "points": Rows(kernels.time_steps(p.points, p.offsets[:, 1], bits), p.offsets[:, 1])
        }

    def decode(arrays: Arrays, offsets: np.ndarray) -> np.ndarray:
        return kernels.from_time_steps(*arrays["points"], bits)

    holds = "uint32 dt less that of the point before, folded, << 3 | pixel"
    return _PointCoding("time steps", holds, encode, decode)


# --- both in one, and forms that go further ---------------------------------------------------------


def _encode_joined(dtype: type) -> Callable[[Pillars], Arrays]:
    def encode(p: Pillars) -> Arrays:
        return {"pillars": Rows(*kernels.short_steps(p.cells, p.points, p.offsets[:, 0], 2, dtype))}

    return encode


def _decode_joined(arrays: Arrays, offsets: np.ndarray) -> Forms:
    cells, bins = kernels.from_short_steps(*arrays["pillars"], offsets[:, 0], 2)
    return cells, np.ones(len(cells), np.uint8), bins


def _decode_joined_rows(arrays: Arrays, offsets: np.ndarray) -> Forms:
    cells, bins = _decode_rows(arrays, offsets)
    return cells, np.ones(len(cells), np.uint8), bins


def _encode_grid(p: Pillars) -> Arrays:
    windows = np.arange(len(p.offsets)) // 2
    states = kernels.grid(p.cells, p.points, p.offsets[:, 0], CELLS)
    return {"states": Rows(states, windows * CELLS)}


def _decode_grid(arrays: Arrays, offsets: np.ndarray) -> Forms:
    cells, bins = kernels.from_grid(arrays["states"].rows, offsets[:, 0], CELLS)
    return cells, np.ones(len(cells), np.uint8), bins


def _point_steps(name: str, bits: int, dtype: type) -> Layout:
    """Points carry the step to their pillar, so that counts need no storing."""

    def encode(p: Pillars) -> Arrays:
        keys, starts = kernels.point_steps(
            p.cells, p.counts, p.points, p.offsets[:, 0], bits, dtype
        )
        dt = (p.points >> bits).astype(np.uint16)
        return {"keys": Rows(keys, starts), "dt": Rows(dt, p.offsets[:, 1])}

    def decode(arrays: Arrays, offsets: np.ndarray) -> Forms:
        keys, starts = arrays["keys"]
        return kernels.from_point_steps(keys, arrays["dt"].rows, starts, *offsets.T, bits)

    holds = f"{np.dtype(dtype)} step << 3 | pixel and uint16 dt of each point"
    return Layout(name, holds, encode, decode)


def _plain_form(encoding: PillarEncoding) -> Callable[[Pillars], Forms]:
    def form(p: Pillars) -> Forms:
        cells = np.repeat(p.cells, p.counts)
        x, y = (cells % COLUMNS).astype(np.uint16), (cells // COLUMNS).astype(np.uint16)
        if p.points.dtype == np.uint8:
            return p.cells, p.counts, x, y, p.points
        bits_x, bits_y = encoding.sub_bits
        x = encoding.first_pixel_of_column[x] + (p.points & ((1 << bits_x) - 1))
        y = encoding.first_pixel_of_row[y] + (p.points >> bits_x & ((1 << bits_y) - 1))
        return (
            p.cells,
            p.counts,
            x.astype(np.uint16),
            y.astype(np.uint16),
            p.points >> (bits_x + bits_y),
        )

    return form


def _plain(encoding: PillarEncoding) -> Layout:
    form = _plain_form(encoding)
    names = ("cells", "counts", "x", "y", "t")

    def encode(p: Pillars) -> Arrays:
        return {
            name: Rows(rows, p.offsets[:, int(i > 1)])
            for i, (name, rows) in enumerate(zip(names, form(p), strict=True))
        }

    def decode(arrays: Arrays, offsets: np.ndarray) -> Forms:
        return tuple(arrays[name].rows for name in names)

    return Layout("plain", "five arrays: cell, count, x, y, t", encode, decode, form)


def _dense_form(p: Pillars) -> Forms:
    return p.tensors, p.counts, p.coords.astype(np.uint16)


def _encode_dense(p: Pillars) -> Arrays:
    names = ("tensors", "counts", "coords")
    return {
        name: Rows(rows, p.offsets[:, 0]) for name, rows in zip(names, _dense_form(p), strict=True)
    }


def _decode_dense(arrays: Arrays, offsets: np.ndarray) -> Forms:
    return tuple(arrays[name].rows for name in ("tensors", "counts", "coords"))


DENSE = Layout(
    "dense",
    "float32 [P, 5, 3], uint8 count, uint16 z, y, x",
    _encode_dense,
    _decode_dense,
    _dense_form,
)


def candidates(encoding: PillarEncoding) -> list[Layout]:
    """Every candidate for the preset of ``encoding``; the pipeline's own is called `steps`."""
    if encoding.settings.preset == "release":
        return [
            _pair(PACKED, BINS),
            _pair(STEPS, BINS),
            _pair(BITMAP, BINS),
            _plain(encoding),
            DENSE,
            _pair(STEPS, QUADS),
            _pair(BITMAP, QUADS),
            _pair(RUNS, BINS),
            _pair(RUNS, QUADS),
            Layout(
                "joined bytes",
                "uint8 step << 2 | time bin, more where long",
                _encode_joined(np.uint8),
                _decode_joined,
            ),
            Layout(
                "joined shorts",
                "uint16 step << 2 | time bin, more where long",
                _encode_joined(np.uint16),
                _decode_joined,
            ),
            Layout(
                "joined rows",
                "uint16 column | time bin << 9, uint16 pillars a row",
                lambda p: _rows(p, p.points),
                _decode_joined_rows,
            ),
            Layout(
                "grid", "uint8 a cell: polarities and time bin of it", _encode_grid, _decode_grid
            ),
        ]
    bits = sum(encoding.sub_bits)
    return [
        _pair(PACKED, _time_first(bits)),
        _pair(STEPS, WORDS),
        _pair(BITMAP, WORDS),
        _plain(encoding),
        DENSE,
        _pair(STEPS, _apart(bits)),
        _pair(STEPS, _planes(bits)),
        _pair(STEPS, _time_steps(bits)),
        _pair(SHORTS, WORDS),
        _pair(SHORTS, _apart(bits)),
        _pair(BYTES, _apart(bits)),
        _pair(RUNS, WORDS),
        _pair(ROWWISE, WORDS),
        _point_steps("joined shorts", bits, np.uint16),
        _point_steps("joined bytes", bits, np.uint8),
    ]
