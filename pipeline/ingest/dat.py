"""Prophesee DAT recordings.

ASCII header lines that begin with ``%``, one byte event type, one byte event size (8), then
little-endian pairs ``u4 t``, ``u4 v`` with x in bits 0…13 of v, y in bits 14…27, p in bit 28.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipeline.errors import RecordingError
from pipeline.files.inputs import open_regular
from pipeline.ingest.reading import Reading, pieces
from pipeline.ingest.wide_events import BLOCK_EVENTS
from pipeline.release.shards import EVENT_DTYPE, is_sensor

_DTYPE = np.dtype([("t", "<u4"), ("v", "<u4")])
_EVENT_TYPES = (0x00, 0x0C)  # both names of a change event; others are triggers, IMU and so on
_MAX_HEADER = 1 << 16


@dataclass(frozen=True)
class DatHeader:
    """What a DAT file says of itself.

    Attributes:
        sensor: width and height in pixels; None where the header does not say.
        start: place of the first event in the file.
        count: of events.
    """

    sensor: tuple[int, int] | None
    start: int
    count: int


def read_dat_header(path: Path, *, growing: bool = False) -> DatHeader:
    """The header of a DAT file; one that still grows may end within an event.

    Raises:
        RecordingError: it has none, is truncated, or holds no change events.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        lines = _lines(file)
        kind = file.read(2)
        start = file.tell()
        size = os.fstat(file.fileno()).st_size
    if len(kind) < 2 or kind[0] not in _EVENT_TYPES or kind[1] != _DTYPE.itemsize:
        found = " and ".join(str(byte) for byte in kind) or "nothing"
        raise RecordingError(
            f"{path}: after the header come {found} where the event type (0 or 12) and the event "
            "size 8 of DAT belong; only files of change events can be read."
        )
    count, rest = divmod(size - start, _DTYPE.itemsize)
    if rest and not growing:
        raise RecordingError(
            f"{path}: truncated, it ends {rest} bytes into event {count}; download it again."
        )
    return DatHeader(_sensor(lines), start, count)


def _lines(file: BinaryIO) -> list[str]:
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


def _sensor(header: list[str]) -> tuple[int, int] | None:
    sizes = {}
    for line in header:
        match = re.fullmatch(r"(width|height)\s*:?\s*([0-9]{1,9})", line, re.IGNORECASE)
        if match:
            sizes[match[1].lower()] = int(match[2])
    width, height = sizes.get("width", 0), sizes.get("height", 0)
    return (width, height) if is_sensor(width, height) else None


def dat_blocks(path: Path, header: DatHeader, reading: Reading) -> Iterator[np.ndarray]:
    """All events in the file's order, ``EVENT_DTYPE [at most BLOCK_EVENTS]`` each.

    Of a file that grows an empty block says that all there is has been read.

    Raises:
        RecordingError: the file became shorter.
        OSError: it cannot be read.
    """
    if reading.growth is not None:
        length = (
            BLOCK_EVENTS * _DTYPE.itemsize - _DTYPE.itemsize + 1
        )  # with a rest of a word: a block
        for piece in pieces(path, header.start, _DTYPE.itemsize, length, reading):
            yield _events(np.frombuffer(piece, _DTYPE))
        return
    with open_regular(path) as file:
        file.seek(header.start)
        for first in range(0, header.count, BLOCK_EVENTS):
            wanted = min(BLOCK_EVENTS, header.count - first)
            raw = np.fromfile(file, _DTYPE, wanted)
            if len(raw) < wanted:
                raise RecordingError(f"{path}: became shorter while it was read; run again.")
            reading.share = (first + wanted) / header.count
            yield _events(raw)


def _events(raw: np.ndarray) -> np.ndarray:
    events = np.empty(len(raw), EVENT_DTYPE)
    events["t"] = raw["t"]
    events["x"] = raw["v"] & 0x3FFF
    events["y"] = (raw["v"] >> 14) & 0x3FFF
    events["p"] = (raw["v"] >> 28) & 1
    return events
