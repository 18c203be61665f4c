"""Raw recordings as blocks of events: Prophesee DAT files and the HDF5 hosting of the same data.

DAT: ASCII header lines that begin with ``%``, one byte event type, one byte event size (8), then
little-endian pairs ``u4 t``, ``u4 v`` with x in bits 0…13 of v, y in bits 14…27, p in bit 28.
HDF5: ``events/x``, ``y``, ``t``, ``p`` of equal length and the scalars ``events/height``, ``width``.
A recording of any length is read in bounded memory.
"""

import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import hdf5plugin  # noqa: F401  registers the Blosc and zstd filters the HDF5 hosting uses
import numpy as np

from pipeline.errors import RecordingError, UsageError
from pipeline.files.inputs import open_regular, require_regular
from pipeline.release.shards import EVENT_DTYPE

BLOCK_EVENTS = 1 << 20  # 9 MB of records; at most a few such arrays are held at a time

_DAT_DTYPE = np.dtype([("t", "<u4"), ("v", "<u4")])
_DAT_EVENT_TYPES = (0x00, 0x0C)  # both names of a change event; others are triggers, IMU and so on
_MAX_HEADER = 1 << 16
_LARGEST_CHUNK = 32 << 20  # bytes of one column's; four are held at a time
# What h5py raises for damage. An OSError with a number is the machine's own.
_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError)
_MAX_SIDE = 1 << 14  # 14 bits for each coordinate


@dataclass(frozen=True)
class RawRecording:
    """``sensor``: width, height in pixels. ``count``: number of events.

    ``blocks()`` yields all events in file order, ``EVENT_DTYPE [at most BLOCK_EVENTS]``; it raises
    :class:`RecordingError` where the file cannot be read or time decreases.
    """

    path: Path
    sensor: tuple[int, int]
    count: int
    _read: Callable[[], Iterator[np.ndarray]]

    def blocks(self) -> Iterator[np.ndarray]:
        """The events in the order of their times, ``EVENT_DTYPE [N]`` each.

        Raises:
            RecordingError: the file is damaged, or its time decreases.
        """
        try:
            yield from self._in_order()
        except _HDF5_ERRORS as error:
            raise _unreadable(self.path, error) from None

    def _in_order(self) -> Iterator[np.ndarray]:
        done = 0
        last = 0
        for block in self._read():
            t = block["t"]
            falls = np.flatnonzero(t[1:] < t[:-1]) + 1
            if len(t) and t[0] < last:
                falls = np.concatenate([[0], falls])
            if len(falls):
                raise RecordingError(
                    f"{self.path}: time decreases at event {done + falls[0]} "
                    f"(t = {t[falls[0]]} µs); sort the recording by time, or cut it there."
                )
            if len(t):
                last = t[-1]
            done += len(t)
            yield block


def _unreadable(path: Path, error: Exception) -> Exception:
    """The sentence for a damaged file; what the machine said goes through as it is."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    reason = (str(error).splitlines() or ["damaged"])[0]
    return RecordingError(f"{path}: cannot be read ({reason}); download it again.")


def open_raw(path: Path) -> RawRecording:
    """The recording at ``path``, DAT or HDF5 by its content and not by its name.

    Raises:
        UsageError: there is no such file, or it is no regular file.
        RecordingError: it is neither format, is truncated, or does not state a sensor size.
    """
    try:
        require_regular(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; give a DAT or HDF5 recording.") from None
    try:
        if h5py.is_hdf5(path):
            return _open_hdf5(path)
        return _open_dat(path)
    except _HDF5_ERRORS as error:
        raise _unreadable(path, error) from None


# --- DAT --------------------------------------------------------------------------------------


def _open_dat(path: Path) -> RawRecording:
    with open_regular(path) as file:
        header = _read_header(file)
        if not header:
            raise RecordingError(
                f"{path}: neither DAT (it would begin with header lines '% …') nor HDF5; "
                "give a recording of one of these formats."
            )
        sensor = _header_size(header)
        if sensor is None:
            raise RecordingError(
                f"{path}: its header does not state the sensor size; "
                "add the lines '% Width …' and '% Height …'."
            )
        kind = file.read(2)
        start = file.tell()
    if len(kind) < 2 or kind[0] not in _DAT_EVENT_TYPES or kind[1] != _DAT_DTYPE.itemsize:
        found = " and ".join(str(byte) for byte in kind) or "nothing"
        raise RecordingError(
            f"{path}: after the header come {found} where the event type (0 or 12) and the event "
            "size 8 belong; only files of change events can be read."
        )
    count, rest = divmod(os.path.getsize(path) - start, _DAT_DTYPE.itemsize)
    if rest:
        raise RecordingError(
            f"{path}: truncated, it ends {rest} bytes into event {count}; download it again."
        )
    return RawRecording(path, sensor, count, lambda: _dat_blocks(path, start, count))


def _read_header(file: BinaryIO) -> list[str]:
    """Header lines without their sign; leaves ``file`` at the first byte after them."""
    lines = []
    while file.tell() < _MAX_HEADER:
        start = file.tell()
        line = file.readline(_MAX_HEADER)
        if not line.startswith(b"%") or not line.endswith(b"\n"):
            file.seek(start)
            break
        lines.append(line[1:].decode("latin-1").strip())
    return lines


def _header_size(header: list[str]) -> tuple[int, int] | None:
    sizes = {}
    for line in header:
        match = re.fullmatch(r"(width|height)\s*:?\s*(\d{1,9})", line, re.IGNORECASE)
        if match:
            sizes[match[1].lower()] = int(match[2])
    if not all(0 < sizes.get(side, 0) <= _MAX_SIDE for side in ("width", "height")):
        return None
    return sizes["width"], sizes["height"]


def _dat_blocks(path: Path, start: int, count: int) -> Iterator[np.ndarray]:
    with open_regular(path) as file:
        file.seek(start)
        for first in range(0, count, BLOCK_EVENTS):
            wanted = min(BLOCK_EVENTS, count - first)
            raw = np.fromfile(file, _DAT_DTYPE, wanted)
            if len(raw) < wanted:
                raise RecordingError(f"{path}: became shorter while it was read; run again.")
            events = np.empty(wanted, EVENT_DTYPE)
            events["t"] = raw["t"]
            events["x"] = raw["v"] & 0x3FFF
            events["y"] = (raw["v"] >> 14) & 0x3FFF
            events["p"] = (raw["v"] >> 28) & 1
            yield events


# --- HDF5 -------------------------------------------------------------------------------------


def _open_hdf5(path: Path) -> RawRecording:
    with h5py.File(path, "r") as file:
        columns = _columns(file, path)
        count = len(columns["t"])
        sensor = _hdf5_size(file, path)
    if sensor is None:
        raise RecordingError(
            f"{path}: does not state the sensor size; "
            "write the scalar data sets events/width and events/height."
        )
    return RawRecording(path, sensor, count, lambda: _hdf5_blocks(path))


def _columns(file: h5py.File, path: Path) -> dict[str, Any]:
    columns = {name: _own_data(file, f"events/{name}", path) for name in "txyp"}
    for name, column in columns.items():
        if (
            not isinstance(column, h5py.Dataset)
            or column.ndim != 1
            or column.dtype.kind not in "iu"
        ):
            raise RecordingError(
                f"{path}: events/{name} is missing or is not a row of integers; "
                "expected events/x, events/y, events/t and events/p."
            )
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise RecordingError(
            f"{path}: events/x, y, t and p differ in length ({lengths}); download it again."
        )
    return columns


def _own_data(file: h5py.File, name: str, path: Path) -> Any:
    """A data set of this file that takes bounded memory to read; None where there is none.

    Raises:
        RecordingError: its content is in other files or not there, or its chunks are too large.
    """
    parent: h5py.Group = file
    *folders, last = name.split("/")
    for folder in folders:
        found = _own(parent, folder, path)
        if not isinstance(found, h5py.Group):
            return None
        parent = found
    data = _own(parent, last, path)
    if not isinstance(data, h5py.Dataset):
        return None
    if data.is_virtual or data.external:
        raise RecordingError(
            f"{path}: {name} reads other files; write a file that holds its own events."
        )
    chunk = math.prod(data.chunks or ()) * data.dtype.itemsize
    if chunk > _LARGEST_CHUNK:
        raise RecordingError(
            f"{path}: {name} has chunks of {chunk} bytes, and may have {_LARGEST_CHUNK}; write it "
            "again with smaller ones."
        )
    if data.size:
        held = data.id.get_num_chunks() if data.chunks else data.id.get_storage_size()
        needed = -(-data.size // math.prod(data.chunks)) if data.chunks else data.nbytes
        if held < needed:  # what is not there would be read as zeros, however many
            raise RecordingError(
                f"{path}: {name} claims {data.size} values and does not hold them; download it again."
            )
    return data


def _own(group: h5py.Group, name: str, path: Path) -> Any:
    """What a group holds itself under a name; links are looked at before anything follows them."""
    links, key = group.id.links, name.encode()
    if not links.exists(key):
        return None
    if links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise RecordingError(
            f"{path}: {name} is a link to somewhere else; write a file that holds its own events."
        )
    return group[name]


def _hdf5_size(file: h5py.File, path: Path) -> tuple[int, int] | None:
    sides = []
    for name in ("events/width", "events/height"):
        data = _own_data(file, name, path)
        if data is None or data.size != 1 or data.dtype.kind not in "iu":
            return None
        sides.append(int(np.asarray(data[()]).item()))
    width, height = sides
    return (width, height) if all(0 < side <= _MAX_SIDE for side in sides) else None


def _hdf5_blocks(path: Path) -> Iterator[np.ndarray]:
    with h5py.File(path, "r") as file:
        columns = _columns(file, path)
        count = len(columns["t"])
        for first in range(0, count, BLOCK_EVENTS):
            last = min(first + BLOCK_EVENTS, count)
            events = np.empty(last - first, EVENT_DTYPE)
            for name, column in columns.items():
                values = column[first:last]
                limit = 1 if name == "p" else np.iinfo(EVENT_DTYPE[name]).max
                if values.min() < 0 or values.max() > limit:
                    raise RecordingError(
                        f"{path}: events/{name} leaves the range 0…{limit}; "
                        "convert the recording again."
                    )
                events[name] = values
            yield events
