"""Recordings of any camera as blocks of events, the format told by the content and not by the name.

A recording of any length is read in bounded memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from pipeline.errors import RecordingError, UsageError
from pipeline.files.inputs import open_regular
from pipeline.ingest import aedat4, dat, evt, hdf5
from pipeline.ingest.own_data import HDF5_ERRORS
from pipeline.ingest.unknown_file import FIRST_BYTES, looks_like
from pipeline.release.shards import EVENT_DTYPE, WINDOW_US

#: What can be read, for messages.
FORMATS = "DAT, RAW (EVT 2.0 and EVT 3.0), HDF5 (events/x … or CD/events) and AEDAT 4"
_LATEST = int(np.iinfo(EVENT_DTYPE["t"]).max)  # µs that the release's records hold, 71 minutes


@dataclass(frozen=True)
class RawRecording:
    """An open recording.

    Attributes:
        path: its file.
        format: its name, such as ``EVT 3.0``.
        sensor: width and height in pixels.
        begin_us: what its clock shows where ours begins: 0, or for a clock that counts from some other
            day the begin of the first event's window.
    """

    path: Path
    format: str
    sensor: tuple[int, int]
    begin_us: int
    _read: Callable[[], Iterator[np.ndarray]]

    def blocks(self) -> Iterator[np.ndarray]:
        """The events in the order of their times, ``EVENT_DTYPE [N]`` each.

        Raises:
            RecordingError: the file is damaged, its time decreases, or it is longer than 71 minutes.
            OSError: it cannot be read.
        """
        try:
            yield from self._in_order()
        except HDF5_ERRORS as error:
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
                last = int(t[-1])
                if last - self.begin_us > _LATEST:
                    raise RecordingError(
                        f"{self.path}: lasts longer than the {_LATEST / 60e6:.0f} minutes that the "
                        "release's times can hold; cut it into shorter recordings."
                    )
            done += len(t)
            yield block if block.dtype == EVENT_DTYPE else _narrow(block, self.begin_us)


def _narrow(block: np.ndarray, begin_us: int) -> np.ndarray:
    events = np.empty(len(block), EVENT_DTYPE)
    events["t"] = block["t"] - begin_us
    for name in "xyp":
        events[name] = block[name]
    return events


def open_raw(
    path: Path,
    sensor: tuple[int, int] | None = None,
    usual_sensor: tuple[int, int] | None = None,
) -> RawRecording:
    """The recording at ``path``.

    Args:
        path: its file.
        sensor: width and height in pixels of a recording that does not state them.
        usual_sensor: those of its data set, where they are stated nowhere else.

    Raises:
        UsageError: there is no such file, it is no regular file, or a package is missing.
        RecordingError: no format is known for it, it is damaged, or its sensor is stated nowhere or
            twice.
        OSError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            begin = file.read(FIRST_BYTES)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; give a recording: {FORMATS}.") from None
    try:
        opened = _opened(path, begin)
        stated = opened.sensor
        if stated is not None and sensor not in (None, stated):
            raise RecordingError(
                f"{path}: states a sensor of {stated[0]}x{stated[1]} pixels; leave --sensor out for it."
            )
        size = stated or sensor or usual_sensor
        if size is None:
            raise RecordingError(
                f"{path}: does not state the sensor size (format {opened.format}); give it with "
                "--sensor, such as 1280x720."
            )
        return RawRecording(path, opened.format, size, _begin(opened), opened.read)
    except HDF5_ERRORS as error:
        raise _unreadable(path, error) from None


@dataclass(frozen=True)
class _Opened:
    """What a file says of itself.

    Attributes:
        format: its name.
        sensor: as far as it is stated.
        last_us: time of the last event; None where that is known only at the end.
        read: gives the events.
    """

    format: str
    sensor: tuple[int, int] | None
    last_us: int | None
    read: Callable[[], Iterator[np.ndarray]]


def _opened(path: Path, begin: bytes) -> _Opened:
    if h5py.is_hdf5(path):
        layout = hdf5.read_hdf5_header(path)
        return _Opened(
            "HDF5", layout.sensor, layout.last_us, lambda: hdf5.hdf5_blocks(path, layout)
        )
    if begin.startswith(aedat4.MAGIC):
        size = aedat4.aedat4_sensor(path)
        return _Opened("AEDAT 4", size, None, lambda: aedat4.aedat4_blocks(path))
    if begin.startswith(b"%"):
        raw = evt.read_evt_header(path)
        if raw is not None:
            return _Opened(
                f"EVT {raw.encoding}", raw.sensor, None, lambda: evt.evt_blocks(path, raw)
            )
        old = dat.read_dat_header(path)
        return _Opened("DAT", old.sensor, 0, lambda: dat.dat_blocks(path, old))
    raise RecordingError(
        f"{path}: is no recording that can be read ({looks_like(begin)}); give {FORMATS}."
    )


def _begin(opened: _Opened) -> int:
    """Where our clock begins on the recording's: its zero, unless that is too far away."""
    if opened.last_us is not None and opened.last_us <= _LATEST:
        return 0
    for block in opened.read():
        if len(block):
            first = int(block["t"][0])
            near = opened.last_us is None and first <= _LATEST // 2
            return 0 if near else first // WINDOW_US * WINDOW_US
    return 0


def _unreadable(path: Path, error: Exception) -> Exception:
    """The sentence for a damaged file; what the machine said goes through as it is."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    reason = (str(error).splitlines() or ["damaged"])[0]
    return RecordingError(f"{path}: cannot be read ({reason}); download it again.")
