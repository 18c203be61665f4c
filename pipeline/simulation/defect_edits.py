"""The edits that plant a fault into a file, a window's events or a window's boxes."""

import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline.defects import Defect
from pipeline.release.shards import (
    LABEL_DTYPE,
    WINDOW_US,
    WINDOWS_PER_SHARD,
    shard_path,
    write_npz,
)

Shard = tuple[str, int]  # recording id, shard number
NEW_TRACK = 1_000_000  # and up, of boxes that are added: no simulated object has such a number
# Zip central directory: signature, offsets of CRC-32 and of the content's size.
_CENTRAL_ENTRY, _CENTRAL_CRC, _CENTRAL_SIZE = b"PK\x01\x02", 16, 24


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Every member of a shard's file."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


# Faults of whole files: edit(root, shard, random window) -> window concerned, what was done.


def _break_crc(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    data, entry = _directory_entry(path, window)
    data[entry + _CENTRAL_CRC] ^= 0xFF
    path.write_bytes(data)
    return window, f"CRC-32 of member e{window} does not match its data"


def _directory_entry(path: Path, window: int) -> tuple[bytearray, int]:
    """An event file's bytes, and where its directory tells of a window."""
    with zipfile.ZipFile(path) as archive:
        data = bytearray(path.read_bytes())
        entry = archive.start_dir
        for info in archive.infolist():
            if info.filename == f"e{window}.npy":
                break
            entry = data.index(_CENTRAL_ENTRY, entry + 4)
    return data, entry


def _claim_too_much(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    data, entry = _directory_entry(path, window)
    data[entry + _CENTRAL_SIZE : entry + _CENTRAL_SIZE + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    return window, f"member e{window} claims to hold 2 GiB"


def _duplicate_member(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    name = f"e{window}.npy"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore", UserWarning)  # of the name that is there already
        content = archive.read(name)
        archive.writestr(zipfile.ZipInfo(name), content)  # without a time of day
    return window, f"member e{window} is there twice"


def _truncate(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    os.truncate(path, path.stat().st_size * 3 // 5)
    return None, "event file truncated to three fifths"


def _replace_by_text(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    path.write_text("<html><body>404 Not Found</body></html>\n", encoding="ascii")
    return None, "event file replaced by an HTML page, as a failed download leaves it"


def _remove_events(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    shard_path(root, *shard, "events").unlink()
    return None, "event file removed"


def _remove_labels(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    shard_path(root, *shard, "labels").unlink()
    return None, "label file removed"


def _remove_member(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    arrays = read_npz(path)
    del arrays[f"e{window}"]
    write_npz(path, arrays)
    return window, f"member e{window} removed"


def _to_floats(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    arrays = read_npz(path)
    events = arrays[f"e{window}"]
    arrays[f"e{window}"] = np.stack([events[n].astype(np.float64) for n in "txyp"], axis=1)
    write_npz(path, arrays)
    return window, f"member e{window} written as floats"


def plant_gap(root: Path, shard: Shard, first: int) -> str:
    """Leave the ten windows before ``first`` out of two shards; the first shard's number remains."""
    name, number = shard
    for kind in ("events", "labels"):
        here, there = shard_path(root, name, number, kind), shard_path(root, name, number + 1, kind)
        arrays, following = read_npz(here), read_npz(there)
        for k in range(first, WINDOWS_PER_SHARD):
            arrays[f"{kind[0]}{k}"] = following[f"{kind[0]}{k}"]
        write_npz(here, arrays)
        there.unlink()
    return f"{WINDOWS_PER_SHARD} windows left out before this one; the next shard is gone"


#: Edits of whole files by fault; one with several is planted once with each.
FILE_EDITS: dict[Defect, tuple[Callable[[Path, Shard, int], tuple[int | None, str]], ...]] = {
    Defect.BAD_CRC: (_break_crc,),
    Defect.UNREADABLE_FILE: (_truncate, _replace_by_text),
    Defect.MISSING_EVENT_FILE: (_remove_events,),
    Defect.MISSING_LABEL_FILE: (_remove_labels,),
    Defect.MISSING_MEMBER: (_remove_member,),
    Defect.WRONG_DTYPE: (_to_floats,),
    Defect.TOO_LARGE: (_claim_too_much,),
    Defect.DUPLICATE_MEMBER: (_duplicate_member,),
}


# Faults of one window: edit(events) or edit(labels, time in µs, sensor), in place or a new array.


def _bad_polarity(events: np.ndarray) -> np.ndarray:
    events["p"][:: max(1, len(events) // 20)] = 2
    return events


def _unsorted(events: np.ndarray) -> np.ndarray:
    events["t"] = np.roll(events["t"], len(events) // 2)
    return events


def _single_timestamp(events: np.ndarray) -> np.ndarray:
    events["t"] = events["t"][0]
    return events


def _long(events: np.ndarray) -> np.ndarray:
    events["t"][-1] += WINDOW_US
    return events


def _outside(events: np.ndarray) -> np.ndarray:
    strays = events[-1:].copy()
    strays["x"] = np.iinfo(np.uint16).max
    return np.concatenate([events, strays])


def _single_polarity(events: np.ndarray) -> np.ndarray:
    events["p"] = 1
    return events


#: Edits of a window's events by fault, and what they do.
EVENT_EDITS: dict[Defect, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    Defect.BAD_POLARITY: (_bad_polarity, "some events have polarity 2"),
    Defect.UNSORTED_TIME: (_unsorted, "the first and second half of the times exchanged"),
    Defect.EMPTY_WINDOW: (lambda events: events[:0], "no event left"),
    Defect.SINGLE_TIMESTAMP: (_single_timestamp, "all events at one time"),
    Defect.SINGLE_POLARITY: (_single_polarity, "all events positive"),
    Defect.LONG_WINDOW: (_long, "the last event moved into the next window's time"),
    Defect.EVENT_OUT_OF_FRAME: (_outside, "an event outside the sensor added"),
}


def add_boxes(
    labels: np.ndarray, t: int, boxes: Sequence[tuple[float, float, float, float]], class_id: int
) -> np.ndarray:
    """A window's boxes with new ones behind, each ``x, y, w, h`` and a track of its own."""
    added = np.zeros(len(boxes), LABEL_DTYPE)
    for row, box in zip(added, boxes, strict=True):
        row["x"], row["y"], row["w"], row["h"] = box
    added["t"], added["class_id"], added["class_confidence"] = t, class_id, 1.0
    added["track_id"] = np.arange(len(added)) + NEW_TRACK
    return np.concatenate([labels, added])


def plant_boxes(
    labels: np.ndarray, t: int, sensor: tuple[int, int], defect: Defect
) -> tuple[np.ndarray, str]:
    """Add boxes that are wrong.

    Args:
        labels: ``LABEL_DTYPE [M]``, a window's boxes.
        t: Time of the new ones in µs.
        sensor: Width and height in pixels.
        defect: The fault to plant, one of :data:`LABEL_EDITS`.

    Returns:
        The boxes with the new ones behind, and what was done in words.
    """
    width, height = sensor
    w, h = 0.2 * width, 0.2 * height
    y = 0.5 * height  # below the sky, which is without events
    if defect is Defect.BOX_OUT_OF_FRAME:
        return add_boxes(labels, t, [(-0.4 * w, y, w, h)], 2), "a box beyond the left border added"
    if defect is Defect.BOX_TOO_WIDE:
        return add_boxes(labels, t, [(0, y, width + 40, h)], 2), "a box wider than the frame added"
    if defect is Defect.BOX_NOT_FINITE:
        return add_boxes(labels, t, [(np.nan, y, w, h)], 2), "a box with x = NaN added"
    if defect is Defect.WRONG_CLASS:
        return add_boxes(labels, t, [(w, y, w, h)], 7), "a box of class 7 added"
    if defect is Defect.BOX_OUT_OF_TIME:
        late = t + 2 * WINDOW_US
        return add_boxes(labels, late, [(w, y, w, h)], 2), "a box of a later window added"
    if defect is Defect.BAD_CONFIDENCE:
        added = add_boxes(labels, t, [(w, y, w, h)], 2)
        added["class_confidence"][-1] = np.nan
        return added, "a box with the confidence NaN added"
    if defect is Defect.DUPLICATE_BOX:
        twice = [(w, y, w, h), (w + 0.01 * w, y, w, h)]
        return add_boxes(labels, t, twice, 2), "a box added twice, a hundredth of its width apart"
    grid = [(k % 10 * width / 20, (4 + k // 10) * height / 20, 2 * w, 2 * h) for k in range(70)]
    return add_boxes(labels, t, grid, 2), "70 boxes added"


#: Faults that :func:`plant_boxes` plants.
LABEL_EDITS = (
    Defect.BOX_OUT_OF_FRAME,
    Defect.BOX_TOO_WIDE,
    Defect.BOX_NOT_FINITE,
    Defect.WRONG_CLASS,
    Defect.OVER_60_BOXES,
    Defect.BOX_OUT_OF_TIME,
    Defect.BAD_CONFIDENCE,
    Defect.DUPLICATE_BOX,
)
