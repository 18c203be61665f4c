"""What a release says of itself, in ``release.json`` beside train/, val/, test/.

The sensor size of each recording, and the class map. The DLUT release has no place for either, because
all of it comes from one 1280x720 sensor and has the same seven classes; recordings that were simulated
or ingested may have any size, and boxes of other data sets other classes. A recording the file does not
name has the size of the class map; a release without the file is the DLUT's.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import DataError, SettingsError, UsageError
from pipeline.files.documents import parse_json
from pipeline.files.inputs import read_if_any
from pipeline.files.whole import written_whole
from pipeline.release.classes import DLUT, ClassMap, class_map_of
from pipeline.release.shards import SENSOR_SIZE, SPLITS, is_sensor

SENSOR_FILE = "release.json"
_FORMAT = "dmanet-release"
_VERSION = 1
_LARGEST = 8 << 20  # bytes; a recording takes about seventy


@dataclass(frozen=True)
class ReleaseFacts:
    """What a release says of itself.

    Attributes:
        sensors: Width and height in pixels by recording id, as far as they are stated.
        class_map: What its class numbers mean.
    """

    sensors: dict[str, tuple[int, int]] = field(default_factory=dict)
    class_map: ClassMap = DLUT

    def sensor_of(self, recording_id: str) -> tuple[int, int]:
        """Width and height in pixels of one recording."""
        return self.sensors.get(recording_id) or self.class_map.sensor or SENSOR_SIZE


def read_release(root: Path) -> ReleaseFacts:
    """What the release at ``root`` says of itself; that of the DLUT without the file.

    Raises:
        DataError: The file is not of this format.
        UsageError: It is no regular file, or too large.
        OSError: The machine fails to read it.
    """
    return _read(root) or ReleaseFacts()


def _read(root: Path) -> ReleaseFacts | None:
    path = root / SENSOR_FILE
    data = read_if_any(path, _LARGEST)
    if data is None:
        return None
    try:
        return _facts(parse_json(data))
    except (ValueError, SettingsError) as error:  # also what is no JSON
        raise DataError(
            f"{path}: does not state sensor sizes and classes as expected "
            f"({str(error).rstrip('.')}); remove it, or write the release again."
        ) from None


def _facts(content: Any) -> ReleaseFacts:
    if (
        not isinstance(content, dict)
        or not {"format", "version", "sensor"} <= content.keys()
        or not content.keys() <= {"format", "version", "class_map", "sensor"}
    ):
        raise ValueError("it has other keys than format, version, class_map and sensor")
    if content["format"] != _FORMAT or content["version"] != _VERSION:
        raise ValueError("it is of another format or version")
    if not isinstance(content["sensor"], dict):
        raise ValueError("its sensors are no object")
    sensors = {name: _size(size) for name, size in content["sensor"].items()}
    if "class_map" not in content:
        return ReleaseFacts(sensors)
    return ReleaseFacts(sensors, class_map_of(content["class_map"], "class_map"))


def check_class_map(root: Path, class_map: ClassMap) -> None:
    """Check that boxes with these classes may be put into the release at ``root``.

    Raises:
        UsageError: It has boxes with others.
        DataError: What it says of itself cannot be read.
        OSError: The machine fails to read it.
    """
    facts = _read(root)
    if facts is None and any(os.path.lexists(root / split) for split in SPLITS):
        facts = ReleaseFacts()
    if facts is not None:
        _require_same(root, facts.class_map, class_map)


def _require_same(root: Path, stored: ClassMap, wanted: ClassMap) -> None:
    if stored != wanted:
        raise UsageError(
            f"{root}: this release's classes are those of {stored}; its boxes cannot be mixed with "
            f"those of {wanted}; choose another folder."
        )


def write_sensors(
    root: Path, sensors: Mapping[str, tuple[int, int]], class_map: ClassMap = DLUT
) -> None:
    """Add sizes by recording id to the release's file, atomically.

    What the file says of other recordings stays. Safe between processes.

    Args:
        root: The release's folder.
        sensors: Width and height in pixels by recording id.
        class_map: What class numbers mean in the release.

    Raises:
        UsageError: They mean something else in what is there.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        before = _read(root) or ReleaseFacts(class_map=class_map)
        _require_same(root, before.class_map, class_map)
        merged = {**before.sensors, **{name: _size(size) for name, size in sensors.items()}}
        rows = ",\n".join(f"    {json.dumps(n)}: {json.dumps(merged[n])}" for n in sorted(merged))
        # The DLUT's own classes go without saying, as before there were others.
        classes = f'  "class_map": {class_map.model_dump_json()},\n' if class_map != DLUT else ""
        text = (
            f'{{\n  "format": "{_FORMAT}",\n  "version": {_VERSION},\n{classes}'
            f'  "sensor": {{\n{rows}\n  }}\n}}\n'
        )
        with written_whole(root / SENSOR_FILE) as unfinished:
            unfinished.write_text(text, encoding="utf-8")


def write_sensor(
    root: Path, recording_id: str, size: tuple[int, int], class_map: ClassMap = DLUT
) -> None:
    """:func:`write_sensors` for one recording."""
    write_sensors(root, {recording_id: size}, class_map)


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
