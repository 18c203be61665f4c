"""Prophesee RAW recordings: EVT 2.0 and EVT 3.0, decoded in blocks.

A file begins with header lines ``% …``, of which the last is ``% end`` in newer files; then come
little-endian words. EVT 3.0 has 16 bits a word and is decoded by the package ``evt3``. An EVT 2.0
word has 32: the kind in bits 28…31, and of an event (kind 0 darker, 1 brighter) the six low bits of
its time in bits 22…27, x in 11…21, y in 0…10; kind 8 gives the 28 high bits of the time.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import evt3
import numpy as np

from pipeline.errors import RecordingError
from pipeline.files.inputs import open_regular
from pipeline.ingest.reading import Reading, pieces
from pipeline.ingest.wide_events import WIDE_DTYPE

BLOCK_BYTES = (
    4 << 20
)  # of a file read at a time; a vector word of EVT 3.0 gives up to twelve events
_MAX_HEADER = 1 << 16
_MAX_SIDE = 1 << 11  # 11 bits for each coordinate
_DARKER, _BRIGHTER, _TIME_HIGH = 0x0, 0x1, 0x8
_EVT2_WRAP = 1 << 34  # µs, after which the counter of 34 bits begins again


@dataclass(frozen=True)
class EvtHeader:
    """What a RAW file says of itself.

    Attributes:
        encoding: ``2.0``, ``3.0``, or another one, which cannot be read.
        sensor: width and height in pixels; None where the header does not say.
        length: bytes before the first word.
    """

    encoding: str
    sensor: tuple[int, int] | None
    length: int


def read_evt_header(path: Path) -> EvtHeader | None:
    """The header of a RAW file; None for a file without one that names its encoding.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        begin = file.read(_MAX_HEADER)
    fields: dict[str, str] = {}
    length = 0
    while begin[length : length + 1] == b"%":
        end = begin.find(b"\n", length)
        if end < 0:
            break
        line = begin[length + 1 : end].decode("latin-1").strip()
        length = end + 1
        if line == "end":
            break
        name, _, value = line.partition(" ")
        fields.setdefault(name.lower(), value.strip())
    encoding = _encoding(fields)
    return None if encoding is None else EvtHeader(encoding, _sensor(fields), length)


def _encoding(fields: dict[str, str]) -> str | None:
    """``% evt 3.0``, or ``% format EVT3;height=720;width=1280``."""
    if "evt" in fields:
        return fields["evt"]
    found = re.match(r"EVT(\d)(\d?)(?:;|$)", fields.get("format", ""))
    return f"{found[1]}.{found[2] or 0}" if found else None


def _sensor(fields: dict[str, str]) -> tuple[int, int] | None:
    sides = dict(re.findall(r"(width|height)=(\d{1,5})(?:;|$)", fields.get("format", "")))
    geometry = re.fullmatch(r"(\d{1,5})x(\d{1,5})", fields.get("geometry", ""))
    if len(sides) == 2:
        size = int(sides["width"]), int(sides["height"])
    elif geometry:
        size = int(geometry[1]), int(geometry[2])
    elif re.fullmatch(r"\d{1,5}", fields.get("width", "")) and re.fullmatch(
        r"\d{1,5}", fields.get("height", "")
    ):
        size = int(fields["width"]), int(fields["height"])
    else:
        return None
    return size if all(0 < side <= _MAX_SIDE for side in size) else None


def evt_blocks(path: Path, header: EvtHeader, reading: Reading) -> Iterator[np.ndarray]:
    """All events of a RAW file in its order, ``WIDE_DTYPE [N]`` for each piece of the file.

    Of a file that grows an empty block says that all there is has been read.

    Raises:
        RecordingError: the encoding is another one, or the file ends within a word.
        OSError: it cannot be read.
    """
    if header.encoding == "3.0":
        yield from _evt3_blocks(pieces(path, header.length, 2, BLOCK_BYTES, reading))
    elif header.encoding == "2.0":
        yield from _evt2_blocks(pieces(path, header.length, 4, BLOCK_BYTES, reading))
    else:
        raise RecordingError(
            f"{path}: is encoded as EVT {header.encoding}; EVT 2.0 and EVT 3.0 can be read, record or "
            "convert it as one of these."
        )


def _evt3_blocks(found: Iterable[bytes]) -> Iterator[np.ndarray]:
    # Its own bounds are those of the encoding: events outside the sensor are counted by whoever writes.
    decoder = evt3.Decoder(_MAX_SIDE, _MAX_SIDE)
    for piece in found:
        decoded = decoder.feed(piece)
        events = np.empty(len(decoded), WIDE_DTYPE)
        events["t"], events["x"], events["y"] = decoded.t, decoded.x, decoded.y
        events["p"] = decoded.p
        yield events


def _evt2_blocks(found: Iterable[bytes]) -> Iterator[np.ndarray]:
    high = -1  # of the time, from the last word of its kind
    wraps = 0
    for piece in found:
        words = np.frombuffer(piece, "<u4")
        kinds = words >> 28
        highs = np.flatnonzero(kinds == _TIME_HIGH)
        times = np.concatenate([[high], (words[highs] & 0x0FFFFFFF).astype(np.int64)])
        # The counter begins again after 34 bits; a small step back is disorder and not a new begin.
        falls = np.diff(times) < -(1 << 27)
        turns = wraps + np.concatenate([[0], np.cumsum(falls)])
        chosen = np.flatnonzero((kinds == _DARKER) | (kinds == _BRIGHTER))
        place = np.searchsorted(highs, chosen)  # words of the high time before each event
        known = times[place] >= 0  # what comes before the first has no time
        chosen, place = chosen[known], place[known]
        word = words[chosen]
        events = np.empty(len(chosen), WIDE_DTYPE)
        events["t"] = turns[place] * _EVT2_WRAP + (times[place] << 6) + (word >> 22 & 0x3F)
        events["x"], events["y"] = word >> 11 & 0x7FF, word & 0x7FF
        events["p"] = kinds[chosen]
        high, wraps = int(times[-1]), int(turns[-1])
        yield events
