"""The DLUT release on disk: where its files are, what they hold, how a shard is read and written.

The tree is ``<split>/<split>filelistNN/{events,labels}/<recording>/{ev,lb}NNN.npz``. A shard is ten
windows of 50 ms: ``e0…e9`` in the event file, ``l0…l9`` in the label file of the same number.
"""

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DataError, UsageError
from pipeline.files.whole import written_whole
from pipeline.release.names import require_storable

SENSOR_SIZE = (1280, 720)  # width, height in pixels
WINDOW_US = 50_000
SKIP_US = 500_000  # the release leaves out the first half second of a recording
WINDOWS_PER_SHARD = 10
_MAX_SIDE = 1 << 14  # DAT events hold 14 bits for each coordinate
_MOST_PIXELS = 1 << 24  # an encoder has some bytes for each
SPLITS = ("train", "val", "test")

#: One event: time in µs, sensor pixel, polarity (0 darker, 1 brighter); packed, 9 bytes.
EVENT_DTYPE = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])

#: One box: time in µs, top-left corner and size in sensor pixels; packed, 33 bytes.
LABEL_DTYPE = np.dtype(
    [
        ("t", "<u8"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("w", "<f4"),
        ("h", "<f4"),
        ("class_id", "u1"),
        ("class_confidence", "<f4"),
        ("track_id", "<u4"),
    ]
)
_SHARD_NAME = re.compile(r"(ev|lb)([0-9]{1,9})\.npz")
_PREFIXES = {"events": "ev", "labels": "lb"}


def is_sensor(width: int, height: int) -> bool:
    """Whether a sensor may have this many pixels in a row and in a column."""
    return (
        min(width, height) > 0
        and max(width, height) <= _MAX_SIDE
        and (width * height <= _MOST_PIXELS)
    )


@dataclass(frozen=True)
class ShardFiles:
    """The two files of one shard number; ``None`` where the release lacks one."""

    number: int
    events: Path | None
    labels: Path | None


@dataclass(frozen=True)
class RecordingFiles:
    """The files of one recording.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        filelist: The folder between split and recording.
        name: The recording's own folder.
        shards: Its shards in the order of their numbers.
    """

    split: str
    filelist: str
    name: str
    shards: tuple[ShardFiles, ...]

    @property
    def id(self) -> str:
        """``split/filelist/name``, unique in a release."""
        return f"{self.split}/{self.filelist}/{self.name}"


def release_order(recording_id: str) -> tuple[int, str]:
    """Sorts ids as a release does: train, val, test, then by filelist and name."""
    return SPLITS.index(recording_id.split("/")[0]), recording_id


def shard_path(root: Path, recording_id: str, number: int, kind: str) -> Path:
    """Path of one file; ``kind`` is ``events`` or ``labels``."""
    split, filelist, name = recording_id.split("/")
    return root / split / filelist / kind / name / f"{_PREFIXES[kind]}{number:03d}.npz"


def walk_release(root: Path) -> list[RecordingFiles]:
    """Every recording under ``root``, sorted by split (train, val, test), filelist and name.

    Events and labels are paired by their number, never by their place in a listing: one missing
    file would shift all that follow. What cannot be listed is never taken for missing.

    Raises:
        UsageError: The folder is missing or holds no recording, or a name cannot be stored.
        DataError: Two files of a recording have one number.
        OSError: The machine will not say what a folder holds.
    """
    try:
        is_folder = stat.S_ISDIR(os.stat(root).st_mode)
    except FileNotFoundError:
        is_folder = False
    if not is_folder:
        raise UsageError(f"{root}: no such folder; give the folder that holds train/, val/, test/.")
    recordings = []
    for split in SPLITS:
        for filelist in _folders_if_any(root / split):
            held = {kind: _folders_if_any(filelist / kind) for kind in ("events", "labels")}
            for name in sorted({folder.name for folders in held.values() for folder in folders}):
                require_storable(name, filelist)
                folders = [folder for kind in held for folder in held[kind] if folder.name == name]
                shards = _pair_shards(folders)
                if shards:
                    require_storable(filelist.name, root / split)
                    recordings.append(RecordingFiles(split, filelist.name, name, shards))
    if not recordings:
        raise UsageError(
            f"{root}: holds no recording; expected files such as "
            f"train/trainfilelist00/events/<recording>/ev001.npz below it; {_rather_than(root)}"
        )
    return recordings


def _rather_than(root: Path) -> str:
    """Which folder may be meant where ``root`` holds no recording."""
    if (root / "zarr.json").exists():
        return "this is a pillar cache, give the release that it was made from."
    for above in (root, *root.absolute().parents[:3]):
        if above.name in SPLITS and any(
            (filelist / "events").is_dir() for filelist in _folders_if_any(above)
        ):
            return f"this is of one split, give {above.parent}."
    for inner in _folders_if_any(root):
        if any((inner / split).is_dir() for split in SPLITS) and not (inner / "zarr.json").exists():
            return f"give {inner}."
    return "give the folder that holds train/, val/, test/."


def _folders_if_any(folder: Path) -> list[Path]:
    """The folders in ``folder`` by name, but hidden ones; none where it is not there."""
    try:
        os.lstat(folder)
    except FileNotFoundError:
        return []
    with os.scandir(folder) as entries:
        # Every answer of the system counts: a link to nowhere may lead to a disk that is not there.
        return sorted(
            Path(entry.path)
            for entry in entries
            if not entry.name.startswith(".") and stat.S_ISDIR(os.stat(entry.path).st_mode)
        )


def _pair_shards(folders: Iterable[Path]) -> tuple[ShardFiles, ...]:
    found: dict[int, dict[str, Path]] = {}
    for folder in folders:
        for name in sorted(os.listdir(folder)):
            match = _SHARD_NAME.fullmatch(name)
            if not match or match[1] != _PREFIXES[folder.parent.name]:
                continue
            files = found.setdefault(int(match[2]), {})
            if match[1] in files:
                raise DataError(
                    f"{folder}: {files[match[1]].name} and {name} have the same number; "
                    "remove the one that does not belong there."
                )
            files[match[1]] = folder / name
    return tuple(ShardFiles(n, found[n].get("ev"), found[n].get("lb")) for n in sorted(found))


def write_shard(
    root: Path,
    recording_id: str,
    number: int,
    events: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
) -> None:
    """Write one shard in the release's byte layout: two deflated npz files.

    A file appears whole or not at all.

    Args:
        root: The release's folder.
        recording_id: ``split/filelist/name``.
        number: The shard's number.
        events: The windows' events in order, ``EVENT_DTYPE [N]`` each.
        labels: The windows' boxes in order, ``LABEL_DTYPE [M]`` each.
    """
    for kind, key, dtype, windows in (
        ("events", "e", EVENT_DTYPE, events),
        ("labels", "l", LABEL_DTYPE, labels),
    ):
        path = shard_path(root, recording_id, number, kind)
        arrays = {f"{key}{k}": np.ascontiguousarray(w, dtype) for k, w in enumerate(windows)}
        write_npz(path, arrays)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a shard's file whole or not at all; ``arrays`` by member.

    A recording has hundreds of shards, and whoever writes one brings it to the disk as a whole.
    """
    # No allow_pickle=False: numpy before 2 does not know it and writes it as a member.
    members: dict[str, Any] = dict(arrays)
    with written_whole(path, durable=False) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **members)
