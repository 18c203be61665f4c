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

from pipeline.errors import DataError, UsageError
from pipeline.files.documents import MalformedError, parse_json
from pipeline.files.inputs import read_regular
from pipeline.files.whole import written_whole

SENSOR_FILE = "release.json"
_FORMAT = "dmanet-release"
_VERSION = 1
_KEYS = {"format", "version", "sensor"}
_MAX_SIDE = 1 << 14  # DAT events hold 14 bits for each coordinate
_LARGEST_FILE = 16 << 20  # bytes; a hundred thousand recordings have 10 MB


def read_sensors(root: Path) -> dict[str, tuple[int, int]]:
    """Width and height in pixels by recording id, as far as ``root`` states them.

    Empty without the file.

    Raises:
        DataError: The file is not of this format.
        OSError: It cannot be read.
    """
    path = root / SENSOR_FILE
    try:
        return _sensors(parse_json(read_regular(path, _LARGEST_FILE)))
    except FileNotFoundError:
        return {}
    except (MalformedError, UsageError) as error:
        raise DataError(
            f"{path}: does not state sensor sizes as expected ({str(error).rstrip('.')}); "
            "remove it, or write the release again."
        ) from None


def _sensors(content: Any) -> dict[str, tuple[int, int]]:
    """Sizes by recording id; raises :class:`MalformedError`."""
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise MalformedError(f"its format is not {_FORMAT}")
    version = content.get("version")
    if type(version) is not int or version != _VERSION:
        raise MalformedError(f"its version is not {_VERSION}")
    if set(content) != _KEYS or not isinstance(content["sensor"], dict):
        raise MalformedError(f"it has not just {', '.join(sorted(_KEYS))}")
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
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise MalformedError("a sensor is not a width and a height")
    width, height = value
    if not all(type(side) is int and 0 < side <= _MAX_SIDE for side in (width, height)):
        raise MalformedError(f"a sensor has not 1 to {_MAX_SIDE} pixels a side")
    return width, height


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock leaves no file behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
