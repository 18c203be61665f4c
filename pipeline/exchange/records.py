"""Boxes by recording and window, labels or detections: what every format here is written from.

Places and sizes are pixels of the sensor, float32, as Prophesee's box files have them.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from pipeline.errors import DataError
from pipeline.release.classes import MOST_CLASSES
from pipeline.release.shards import is_sensor
from pipeline.text import is_unicode

#: One box: time in µs, top-left corner and size in sensor pixels, class, track, score.
BOX_DTYPE = np.dtype(
    [
        ("t", "<i8"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("w", "<f4"),
        ("h", "<f4"),
        ("class_id", "<u4"),
        ("track_id", "<u4"),
        ("class_confidence", "<f4"),
    ]
)
_LONGEST_NAME = 1000  # characters of a recording's name, folders included
_LONGEST_PART = 200  # bytes of a part of it: a file's name ends in more


@dataclass(frozen=True)
class RecordingBoxes:
    """The boxes of one recording's windows; a window may have none.

    Attributes:
        name: of the recording, parts joined by ``/``.
        sensor: width and height in pixels.
        numbers: int64 ``[W]``, of each window in the recording, increasing.
        times: int64 ``[W]``, µs, when each window begins.
        window: int64 ``[N]``, 0…W−1, the window of each box; never decreasing.
        boxes: ``BOX_DTYPE [N]``.
    """

    name: str
    sensor: tuple[int, int]
    numbers: np.ndarray
    times: np.ndarray
    window: np.ndarray
    boxes: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def bounds(self) -> np.ndarray:
        """int64 ``[W + 1]``: the boxes of window k are those from ``[k]`` to ``[k + 1]``."""
        return np.searchsorted(self.window, np.arange(len(self) + 1))


@dataclass(frozen=True)
class BoxSet:
    """The boxes of some recordings.

    Attributes:
        recordings: each name once.
        class_names: by the boxes' ``class_id``.
        scored: they are detections, and ``class_confidence`` is their score.
    """

    recordings: tuple[RecordingBoxes, ...]
    class_names: tuple[str, ...]
    scored: bool

    def boxes(self) -> int:
        """How many there are."""
        return sum(len(recording.boxes) for recording in self.recordings)


def picture_name(recording: str, number: int) -> str:
    """Where the picture of a window is in a folder of pictures."""
    return f"{recording}/window_{number:05d}.png"


def check_boxes(found: BoxSet, source: str) -> BoxSet:
    """The same boxes, if they can be those of recordings: what a file said is held against it.

    Raises:
        DataError: a name is no relative path, two recordings have one, a sensor is impossible, windows
            are not in order, or a box has a class or window that is not there.
    """
    if not 0 < len(found.class_names) <= MOST_CLASSES:
        raise DataError(
            f"{source}: has {len(found.class_names)} classes, and there may be 1 to {MOST_CLASSES}; "
            "export fewer."
        )
    names = [recording.name for recording in found.recordings]
    if len(set(names)) < len(names):
        raise DataError(f"{source}: has two recordings of one name; give each its own.")
    for recording in found.recordings:
        if problem := _problem(recording, len(found.class_names)):
            raise DataError(f"{source}: {problem}; export it again.")
    return found


def _problem(recording: RecordingBoxes, classes: int) -> str | None:
    name = recording.name
    if not _is_relative(name):
        return f"{name[:80]!r} is no name of a recording"
    if not is_sensor(*recording.sensor):
        return f"{name} has a sensor of {recording.sensor[0]}x{recording.sensor[1]} pixels"
    numbers, window = recording.numbers, recording.window
    if len(numbers) and (numbers[0] < 0 or (np.diff(numbers) <= 0).any()):
        return f"the windows of {name} are not in order"
    if len(window) and (window[0] < 0 or window[-1] >= len(numbers) or (np.diff(window) < 0).any()):
        return f"a box of {name} is in no window"
    if len(window) and recording.boxes["class_id"].max() >= classes:
        return f"a box of {name} has the class {recording.boxes['class_id'].max()} of {classes}"
    return None


def _is_relative(name: str) -> bool:
    """Whether a name leads to a place below a folder, and nowhere else."""
    parts = name.split("/")
    return (
        0 < len(name) <= _LONGEST_NAME
        and is_unicode(name)
        and name.isprintable()
        and "\\" not in name
        and str(PurePosixPath(name)) == name
        and all(p and not p.startswith(".") and len(p.encode()) <= _LONGEST_PART for p in parts)
    )
