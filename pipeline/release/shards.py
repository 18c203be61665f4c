"""The DLUT release on disk: where its files are, what they hold, how a shard is read and written.

The tree is ``<split>/<split>filelistNN/{events,labels}/<recording>/{ev,lb}NNN.npz``. A shard is ten
windows of 50 ms: ``e0…e9`` in the event file, ``l0…l9`` in the label file of the same number.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.defects import Defect
from pipeline.errors import ShardError, UsageError
from pipeline.files.whole import written_whole
from pipeline.release.npz import NpzFile

SENSOR_SIZE = (1280, 720)  # width, height in pixels
WINDOW_US = 50_000
SKIP_US = 500_000  # the release leaves out the first half second of a recording
WINDOWS_PER_SHARD = 10
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
_LABEL_ALIASES = {"ts": "t", "confidence": "class_confidence"}
_SHARD_NAME = re.compile(r"(ev|lb)(\d+)\.npz")


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
    prefix = {"events": "ev", "labels": "lb"}[kind]
    return root / split / filelist / kind / name / f"{prefix}{number:03d}.npz"


def walk_release(root: Path) -> list[RecordingFiles]:
    """Every recording under ``root``, sorted by split (train, val, test), filelist and name.

    Events and labels are paired by their number, never by their place in a listing: one missing
    file would shift all that follow.

    Raises:
        UsageError: The folder is missing or holds no recording.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; give the folder that holds train/, val/, test/.")
    recordings = []
    for split in SPLITS:
        for filelist in sorted(_subfolders(root / split)):
            names = {p.name for kind in ("events", "labels") for p in _subfolders(filelist / kind)}
            for name in sorted(names):
                shards = _pair_shards(filelist / "events" / name, filelist / "labels" / name)
                if shards:
                    recordings.append(RecordingFiles(split, filelist.name, name, shards))
    if not recordings:
        raise UsageError(
            f"{root}: holds no recording; expected files such as "
            "train/trainfilelist00/events/<recording>/ev001.npz below it."
        )
    return recordings


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _pair_shards(events: Path, labels: Path) -> tuple[ShardFiles, ...]:
    found: dict[int, dict[str, Path]] = {}
    for folder, prefix in ((events, "ev"), (labels, "lb")):
        for path in folder.glob(f"{prefix}*.npz"):
            match = _SHARD_NAME.fullmatch(path.name)
            if match:
                found.setdefault(int(match[2]), {})[prefix] = path
    return tuple(ShardFiles(n, found[n].get("ev"), found[n].get("lb")) for n in sorted(found))


def as_events(array: np.ndarray, source: str) -> np.ndarray:
    """Return ``array`` as ``EVENT_DTYPE [N]``; no copy when it has that layout already.

    Args:
        array: Records with the fields t, x, y, p of any integer width, or an integer array ``[N, 4]``
            with these columns.
        source: Names the member in errors.

    Raises:
        ShardError: Another dtype or shape, values that do not fit, or a polarity that is neither 0
            nor 1.
    """
    if array.dtype == EVENT_DTYPE and array.ndim == 1:
        events = array
    elif array.dtype.names is None and array.ndim == 2 and array.shape[1] == 4:
        events = _to_event_records({n: array[:, i] for i, n in enumerate("txyp")}, source)
    elif array.dtype.names and set("txyp") <= set(array.dtype.names) and array.ndim == 1:
        events = _to_event_records({name: array[name] for name in "txyp"}, source)
    else:
        raise ShardError(
            f"{source}: events have dtype {array.dtype} and shape {array.shape}; "
            "expected the fields t, x, y, p or four integer columns.",
            Defect.WRONG_DTYPE,
        )
    if len(events) and events["p"].max() > 1:
        raise ShardError(
            f"{source}: a polarity is {events['p'].max()}; only 0 and 1 have a meaning, "
            "convert the recording again.",
            Defect.BAD_POLARITY,
        )
    return events


def _to_event_records(columns: dict[str, np.ndarray], source: str) -> np.ndarray:
    events = np.empty(len(columns["t"]), EVENT_DTYPE)
    for name, column in columns.items():
        if column.dtype.kind == "b":
            column = column.view(np.uint8)
        if column.dtype.kind not in "iu" or column.ndim != 1:
            raise ShardError(
                f"{source}: event field '{name}' has dtype {column.dtype} and shape {column.shape}; "
                "expected one integer for each event.",
                Defect.WRONG_DTYPE,
            )
        limit = np.iinfo(EVENT_DTYPE[name]).max
        if len(column) and (column.min() < 0 or (name != "p" and column.max() > limit)):
            raise ShardError(
                f"{source}: event field '{name}' leaves the range 0…{limit}; "
                "convert the recording again.",
                Defect.BAD_POLARITY if name == "p" else Defect.WRONG_DTYPE,
            )
        events[name] = np.minimum(column, limit) if name == "p" else column
    return events


def as_labels(array: np.ndarray, source: str) -> np.ndarray:
    """Return ``array`` as ``LABEL_DTYPE [M]``, read by field name.

    Args:
        array: Records with the release's fields in any order, or with the original box files' names
            (``ts``, ``confidence``).
        source: Names the member in errors.

    Raises:
        ShardError: A field is missing, or does not hold one number for each box.
    """
    if array.dtype == LABEL_DTYPE and array.ndim == 1:
        return array
    names = {_LABEL_ALIASES.get(name, name): name for name in array.dtype.names or ()}
    if array.size == 0 and not names:
        return np.empty(0, LABEL_DTYPE)  # some tools write an empty float array for "no boxes"
    required = {"t", "x", "y", "w", "h", "class_id"}
    if array.ndim != 1 or not required <= names.keys():
        missing = ", ".join(sorted(required - names.keys())) or "one dimension"
        raise ShardError(
            f"{source}: labels have dtype {array.dtype}; missing: {missing}.", Defect.WRONG_DTYPE
        )
    for field in names.keys() & set(LABEL_DTYPE.names or ()):
        column = array[names[field]]
        if column.dtype.kind not in "biuf" or column.ndim != 1:
            raise ShardError(
                f"{source}: label field '{field}' has dtype {column.dtype} and shape {column.shape}; "
                "expected one number for each box.",
                Defect.WRONG_DTYPE,
            )
    labels = np.zeros(len(array), LABEL_DTYPE)
    for field in LABEL_DTYPE.names or ():
        if field == "class_id":  # a wider class number must not wrap into a valid one
            column = array[names[field]]
            labels[field] = np.where((column < 0) | (column > 255), 255, column)
        elif field in names:
            labels[field] = array[names[field]]
    return labels


def read_events(shard: NpzFile, window: int) -> np.ndarray:
    """Events of one window of an open shard, ``EVENT_DTYPE [N]``; raises :class:`ShardError`."""
    return as_events(shard.read(f"e{window}"), f"{shard.path}, member e{window}")


def read_labels(shard: NpzFile, window: int) -> np.ndarray:
    """Boxes of one window of an open shard, ``LABEL_DTYPE [M]``; raises :class:`ShardError`."""
    return as_labels(shard.read(f"l{window}"), f"{shard.path}, member l{window}")


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
        # A recording has hundreds of shards, and whoever writes one brings it to the disk as a whole.
        with written_whole(path, durable=False) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
