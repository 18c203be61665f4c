"""The sensor size of each recording, in ``release.json`` beside train/, val/, test/.

The DLUT release has no place for it, because all of it comes from one 1280x720 sensor; recordings
that were simulated or ingested may have any size. A recording the file does not name, and a release
without the file, has the release's own size.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.files.documents import parse_json
from pipeline.files.inputs import read_if_any
from pipeline.files.whole import written_whole

SENSOR_FILE = "release.json"
_FORMAT = "dmanet-release"
_VERSION = 1
_LARGEST = 8 << 20  # bytes; a recording takes about seventy
_MAX_SIDE = 1 << 14  # DAT events hold 14 bits for each coordinate
_MOST_PIXELS = 1 << 24  # an encoder has some bytes for each


def read_sensors(root: Path) -> dict[str, tuple[int, int]]:
    """Width and height in pixels by recording id, as far as ``root`` states them.

    Empty without the file.

    Raises:
        DataError: The file is not of this format.
        UsageError: It is no regular file, or too large.
        OSError: The machine fails to read it.
    """
    path = root / SENSOR_FILE
    data = read_if_any(path, _LARGEST)
    if data is None:
        return {}
    try:
        return _sizes(parse_json(data))
    except ValueError as error:  # also what is no JSON
        raise DataError(
            f"{path}: does not state sensor sizes as expected ({error}); "
            "remove it, or write the release again."
        ) from None


def is_sensor(width: int, height: int) -> bool:
    """Whether a sensor may have this many pixels in a row and in a column."""
    return (
        min(width, height) > 0
        and max(width, height) <= _MAX_SIDE
        and (width * height <= _MOST_PIXELS)
    )


def _sizes(content: Any) -> dict[str, tuple[int, int]]:
    if not isinstance(content, dict) or content.keys() != {"format", "version", "sensor"}:
        raise ValueError("it has other keys than format, version and sensor")
    if content["format"] != _FORMAT or content["version"] != _VERSION:
        raise ValueError("it is of another format or version")
    if not isinstance(content["sensor"], dict):
        raise ValueError("its sensors are no object")
    return {name: _size(size) for name, size in content["sensor"].items()}


def write_sensors(root: Path, sensors: Mapping[str, tuple[int, int]]) -> None:
    """Add sizes by recording id to the release's file, atomically.

    What the file says of other recordings stays. Safe between processes.

    Args:
        root: The release's folder.
        sensors: Width and height in pixels by recording id.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        merged = {**read_sensors(root), **{name: _size(size) for name, size in sensors.items()}}
        rows = ",\n".join(f"    {json.dumps(n)}: {json.dumps(merged[n])}" for n in sorted(merged))
        text = (
            f'{{\n  "format": "{_FORMAT}",\n  "version": {_VERSION},\n'
            f'  "sensor": {{\n{rows}\n  }}\n}}\n'
        )
        with written_whole(root / SENSOR_FILE) as unfinished:
            unfinished.write_text(text, encoding="utf-8")


def write_sensor(root: Path, recording_id: str, size: tuple[int, int]) -> None:
    """:func:`write_sensors` for one recording."""
    write_sensors(root, {recording_id: size})


def _size(value: Any) -> tuple[int, int]:
    sides = tuple(value) if isinstance(value, list | tuple) else ()
    if len(sides) != 2 or not all(type(n) is int for n in sides) or not is_sensor(*sides):
        raise ValueError(f"a sensor of {value!r:.80} pixels")
    return sides[0], sides[1]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock leaves no file behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
