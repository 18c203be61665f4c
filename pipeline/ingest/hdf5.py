"""HDF5 recordings in the layouts that cameras' makers and data sets use.

- ``events/x``, ``y``, ``t``, ``p`` with the scalars ``events/width``, ``events/height`` (the
  hosting of the 1 Mpx data set, eTraM); with ``t_offset`` and ``ms_to_idx`` instead of a size
  (DSEC: t counts from the offset, in µs);
- ``events/xs``, ``ys``, ``ts``, ``ps``, times in seconds where they are no integers (simulators);
- ``CD/events``, a table of x, y, p, t (Metavision), whose compression ECF needs its makers' plugin.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the Blosc and zstd filters the HDF5 hosting uses
import numpy as np

from pipeline.errors import RecordingError
from pipeline.ingest.own_data import own_data
from pipeline.ingest.reading import Reading
from pipeline.ingest.wide_events import BLOCK_EVENTS, WIDE_DTYPE
from pipeline.release.shards import is_sensor

DSEC_SENSOR = (640, 480)  # its files do not say
_ECF = 0x8ECF  # number of the filter
_NAMINGS = ({n: f"events/{n}" for n in "txyp"}, {n: f"events/{n}s" for n in "txyp"})
_TABLE = "CD/events"


@dataclass(frozen=True)
class Hdf5Header:
    """What an HDF5 file says of itself.

    Attributes:
        sensor: width and height in pixels; None where the file does not say.
        columns: the data set of each field; in Metavision's files one table for all of them.
        offset: µs that its times count from.
        count: of events.
        last_us: time of the last one, 0 without any.
    """

    sensor: tuple[int, int] | None
    columns: dict[str, str]
    offset: int
    count: int
    last_us: int


def read_hdf5_header(path: Path) -> Hdf5Header:
    """The layout of an HDF5 file.

    Raises:
        RecordingError: it has none of the layouts, points into other files, or claims what it does not
            hold.
        OSError: it cannot be read.
    """
    with h5py.File(path, "r") as file:
        if own_data(file, _TABLE, path) is not None:
            naming, offset = dict.fromkeys("txyp", _TABLE), 0
            times = _table(file, path)
            sensor = _stated(file.attrs)
        else:
            naming = next(
                (n for n in _NAMINGS if own_data(file, n["t"], path) is not None), _NAMINGS[0]
            )
            times = _columns(file, naming, path)["t"]
            offset = _scalar(file, "t_offset", path) or 0
            sides = [_scalar(file, f"events/{side}", path) for side in ("width", "height")]
            if sides == [None, None] and own_data(file, "ms_to_idx", path) is not None:
                sides = list(DSEC_SENSOR)
            sensor = _size(*sides)
        last = times[-1:]
        if len(last):
            value = _checked(last["t"] if last.dtype.names else last, "t", naming["t"], path)
            return Hdf5Header(sensor, naming, offset, len(times), int(value[0]) + offset)
        return Hdf5Header(sensor, naming, offset, 0, 0)


def hdf5_blocks(path: Path, header: Hdf5Header, reading: Reading) -> Iterator[np.ndarray]:
    """All events in the file's order, ``WIDE_DTYPE [at most BLOCK_EVENTS]`` each.

    Raises:
        RecordingError: a value is none that an event can have.
        OSError: it cannot be read.
    """
    with h5py.File(path, "r") as file:
        is_table = header.columns["t"] == _TABLE
        columns = {} if is_table else _columns(file, header.columns, path)
        table = _table(file, path) if is_table else None
        for first in range(0, header.count, BLOCK_EVENTS):
            last = min(first + BLOCK_EVENTS, header.count)
            rows = None if table is None else table[first:last]
            events = np.empty(last - first, WIDE_DTYPE)
            for name, place in header.columns.items():
                values = columns[name][first:last] if rows is None else rows[name]
                events[name] = _checked(values, name, place, path)
            events["t"] += header.offset
            reading.share = last / header.count
            yield events


def _checked(values: np.ndarray, name: str, place: str, path: Path) -> np.ndarray:
    """Values of one field as integers within its range."""
    if values.dtype.kind == "f":  # seconds
        if not np.isfinite(values).all() or np.abs(values).max() > 1e12:
            raise RecordingError(
                f"{path}: {place} holds times that are no numbers; write it again."
            )
        values = np.rint(values * 1e6).astype(np.int64)
    if name == "p" and place.endswith("ps"):
        values = np.where(values.astype(np.int64) == -1, 0, values)  # -1 is darker in this naming
    limit = {"t": (1 << 62) - 1, "p": 1}.get(name, (1 << 16) - 1)
    if values.min() < 0 or values.max() > limit:
        raise RecordingError(
            f"{path}: {place}{'' if place != _TABLE else ' (' + name + ')'} leaves the range 0…{limit}; "
            "convert the recording again."
        )
    return values


def _columns(file: h5py.File, naming: dict[str, str], path: Path) -> dict[str, Any]:
    columns = {name: own_data(file, place, path) for name, place in naming.items()}
    for name, column in columns.items():
        kinds = (
            "iuf" if naming[name].endswith("ts") else "iub" if naming[name].endswith("ps") else "iu"
        )
        if column is None or column.ndim != 1 or column.dtype.kind not in kinds:
            raise RecordingError(
                f"{path}: {naming[name]} is missing or is not a row of integers; expected events/x, "
                "events/y, events/t and events/p, or CD/events."
            )
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise RecordingError(
            f"{path}: {', '.join(naming.values())} differ in length ({lengths}); download it again."
        )
    return columns


def _table(file: h5py.File, path: Path) -> Any:
    table = own_data(file, _TABLE, path)
    fields = table.dtype.fields or {}
    if table.ndim != 1 or not set("txyp") <= fields.keys():
        raise RecordingError(
            f"{path}: {_TABLE} is no row of records with t, x, y, p; write it again."
        )
    if any(fields[name][0].kind not in "iu" for name in "txyp"):
        raise RecordingError(f"{path}: {_TABLE} has fields that are no integers; write it again.")
    settings = table.id.get_create_plist()
    filters = [settings.get_filter(k)[0] for k in range(settings.get_nfilters())]
    if _ECF in filters and not h5py.h5z.filter_avail(_ECF):
        raise RecordingError(
            f"{path}: is compressed with ECF, which only its makers' plugin for HDF5 reads; install "
            "that and set HDF5_PLUGIN_PATH, or convert the recording to RAW."
        )
    return table


def _scalar(file: h5py.File, name: str, path: Path) -> int | None:
    data = own_data(file, name, path)
    if data is None or data.size != 1 or data.dtype.kind not in "iu":
        return None
    return int(np.asarray(data[()]).item())


def _stated(attributes: Any) -> tuple[int, int] | None:
    """The size in Metavision's attribute ``geometry``, as ``1280x720``."""
    text = attributes.get("geometry", "")
    text = text.decode("latin-1") if isinstance(text, bytes) else str(text)
    width, _, height = text.partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        return None
    return _size(int(width[:9]), int(height[:9]))


def _size(width: int | None, height: int | None) -> tuple[int, int] | None:
    if width is None or height is None or not is_sensor(width, height):
        return None
    return width, height
