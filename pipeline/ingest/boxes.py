"""The boxes beside a recording, and which of them belong to a window."""

from pathlib import Path

import numpy as np

from pipeline.errors import RecordingError, ShardError
from pipeline.files.inputs import read_if_any
from pipeline.release.members import MOST_BOXES, as_labels
from pipeline.release.npy import NpyError, parse_array
from pipeline.release.shards import LABEL_DTYPE, WINDOW_US

_LARGEST_BOX_FILE = 64 << 20  # bytes; a minute of the dataset has less than one million


def read_boxes(path: Path, begin_us: int = 0) -> np.ndarray | None:
    """All boxes of a recording in the order of their times, ``LABEL_DTYPE [M]``.

    Args:
        path: of the file.
        begin_us: what the recording's clock shows where that of the shards begins; boxes before it are
            left out.

    Returns:
        ``None`` where no file is.

    Raises:
        RecordingError: It is no file of boxes.
        UsageError: It is no regular file, or too large.
        OSError: The machine fails to read it.
    """
    data = read_if_any(path, _LARGEST_BOX_FILE)
    if data is None:
        return None
    try:
        boxes = as_labels(parse_array(data), str(path))
    except ShardError as error:
        raise RecordingError(str(error)) from None
    except NpyError as error:
        raise RecordingError(
            f"{path}: not a box file ({error}); download it again, or move it away to ingest "
            "without boxes."
        ) from None
    boxes = boxes[boxes["t"] >= begin_us]
    boxes["t"] -= np.uint64(begin_us)
    return boxes[np.argsort(boxes["t"], kind="stable")]


def boxes_of_window(boxes: np.ndarray | None, slot: int) -> np.ndarray:
    """The first box of each track in one window of the clock, in the order of their times.

    Args:
        boxes: ``LABEL_DTYPE [M]`` sorted by time, or ``None`` for a recording without boxes.
        slot: The window begins at ``slot · 50 000`` µs.

    Raises:
        RecordingError: They are more than a window's may be.
    """
    if boxes is None:
        return np.empty(0, LABEL_DTYPE)
    clock = np.array([slot, slot + 1], np.uint64) * np.uint64(WINDOW_US)
    start, end = np.searchsorted(boxes["t"], clock)
    inside = boxes[start:end]
    _, first = np.unique(inside["track_id"], return_index=True)
    if len(first) > MOST_BOXES:
        raise RecordingError(
            f"the 50 ms from {slot * WINDOW_US} µs have {len(first)} boxes, and a window may have "
            f"{MOST_BOXES}; move the box file away, or mend it."
        )
    return inside[np.sort(first)]
