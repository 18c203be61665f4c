"""AEDAT 4 recordings (DAVIS and DVXplorer cameras), read by the package ``dv-processing``, an extra.

Their times are µs since 1970; positive polarity is brighter.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import RecordingError, UsageError
from pipeline.ingest.wide_events import WIDE_DTYPE

MAGIC = b"#!AER-DAT4."


def aedat4_sensor(path: Path) -> tuple[int, int]:
    """Width and height in pixels of a recording's event stream.

    Raises:
        UsageError: the package is not installed.
        RecordingError: the file is damaged or has no event stream.
    """
    reader = _reader(path)
    if not reader.isEventStreamAvailable():
        raise RecordingError(f"{path}: has no event stream; record one with events.")
    width, height = reader.getEventResolution()
    return int(width), int(height)


def aedat4_blocks(path: Path) -> Iterator[np.ndarray]:
    """All events in the file's order, ``WIDE_DTYPE [N]`` for each of its packets.

    Raises:
        RecordingError: the file is damaged.
    """
    reader = _reader(path)
    while reader.isRunning():
        try:
            packet = reader.getNextEventBatch()
        except RuntimeError as error:
            raise _damaged(path, error) from None
        if packet is None:
            continue
        found = packet.numpy()
        if len(found) and min(found["x"].min(), found["y"].min()) < 0:
            raise RecordingError(f"{path}: an event has a negative coordinate; record it again.")
        events = np.empty(len(found), WIDE_DTYPE)
        events["t"], events["x"], events["y"] = found["timestamp"], found["x"], found["y"]
        events["p"] = found["polarity"] != 0
        yield events


def _reader(path: Path) -> Any:
    try:
        import dv_processing
    except ImportError:
        raise UsageError(
            f"{path}: is an AEDAT 4 recording, which needs the package dv-processing; install it with "
            "`pip install 'dmanet-events[aedat4]'`."
        ) from None
    try:
        return dv_processing.io.MonoCameraRecording(str(path))
    except (RuntimeError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> RecordingError:
    reason = (str(error).splitlines() or ["damaged"])[0][:160]
    return RecordingError(f"{path}: cannot be read as AEDAT 4 ({reason}); download it again.")
