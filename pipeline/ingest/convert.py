"""Raw recordings → release shards, by the release's rules.

Windows are ``[k·50 000, (k+1)·50 000)`` µs of the recording's own clock, the first half second is
left out, and ten windows make a shard. A window without events is left out too: the ten members
``e0…e9`` of a shard are the next ten windows that hold events, and the shard's number is that of its
first window, counted from the window of the recording's first event, divided by ten. Numbers
therefore advance with the clock and never repeat, but they are no clock: continuity comes from the
event times alone. Windows at the end that do not fill a shard are thrown away.
"""

import contextlib
import dataclasses
import filecmp
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipeline.errors import RecordingError, UsageError
from pipeline.files.whole import publish_folders, unfinished_beside
from pipeline.ingest.boxes import boxes_of_window, read_boxes
from pipeline.ingest.class_choice import DLUT_CHOICE, ClassChoice
from pipeline.ingest.raw_recording import RawRecording, open_raw
from pipeline.ingest.summary import IngestSummary, box_path, recording_name
from pipeline.ingest.windows import RawWindow, split_windows
from pipeline.release.names import require_storable
from pipeline.release.npz import EVENT_BOUNDS
from pipeline.release.sensors import write_sensor
from pipeline.release.shards import (
    SKIP_US,
    SPLITS,
    WINDOWS_PER_SHARD,
    shard_path,
    write_shard,
)
from pipeline.text import counted


def ingest_recording(
    raw: Path,
    out: Path,
    split: str,
    *,
    skip_us: int = SKIP_US,
    sensor: tuple[int, int] | None = None,
    filelist: str | None = None,
    choice: ClassChoice = DLUT_CHOICE,
    progress: Callable[[int], object] | None = None,
) -> IngestSummary:
    """Write the recording ``raw`` as shards of the release at ``out``.

    It becomes ``<split>/<filelist>/…/<name>`` with ``<split>filelist00`` by default, and its sensor
    size is noted beside the release. The recording appears whole or not at all.

    Args:
        raw: a file of any format that :func:`pipeline.ingest.raw_recording.open_raw` reads.
        out: the release's folder.
        split: ``train``, ``val`` or ``test``.
        skip_us: left out at the begin, counted from the window of the first event and rounded up to
            whole windows.
        sensor: width and height in pixels of a recording that does not state them.
        filelist: folder in the split.
        choice: what becomes of the classes of its boxes.
        progress: gets the number of events read since it was called last; what it raises ends the
            work.

    Raises:
        UsageError: the recording is there already, the file is missing, an option is wrong, or the
            release has other classes.
        RecordingError: the file cannot be read, or fills no shard.
        OSError: the machine fails to read or write.
    """
    recording_id = recording_id_of(raw, split, filelist)
    if is_there(out, recording_id):
        raise UsageError(
            f"{out / recording_id}: the recording is there already; remove it or choose another folder."
        )
    return convert_recording(
        raw, out, recording_id, skip_us=skip_us, sensor=sensor, choice=choice, progress=progress
    )


def recording_id_of(raw: Path, split: str, filelist: str | None = None) -> str:
    """What the recording ``raw`` is called in a release.

    Raises:
        UsageError: the split does not exist, or the file's name gives none that can be stored.
    """
    if split not in SPLITS:
        raise UsageError(f"'{split}' is not a split; choose one of {', '.join(SPLITS)}.")
    name = recording_name(raw)
    if not name or name.startswith("."):
        raise UsageError(f"{raw}: its file name gives the recording no name; rename it.")
    require_storable(name, raw.parent)
    return f"{split}/{filelist or f'{split}filelist00'}/{name}"


def is_there(out: Path, recording_id: str) -> bool:
    """Whether anything of a recording is in the release at ``out``."""
    return any(_exists(place) for place in _places(out, recording_id))


def convert_recording(
    raw: Path,
    out: Path,
    recording_id: str,
    *,
    skip_us: int,
    sensor: tuple[int, int] | None = None,
    usual_sensor: tuple[int, int] | None = None,
    choice: ClassChoice = DLUT_CHOICE,
    replace: bool = False,
    progress: Callable[[int], object] | None = None,
) -> IngestSummary:
    """:func:`ingest_recording` of a recording that may be there, if it is the same.

    An attempt before this one may have died when all was done, or with one folder in its place.

    Args:
        raw: the recording.
        out: the release's folder.
        recording_id: what it is called there.
        skip_us: left out at the begin.
        sensor: of a recording that does not state it.
        usual_sensor: of its data set, where it is stated nowhere else.
        choice: what becomes of the classes of its boxes.
        replace: what is there may be another one, which is deleted when this one is in its place.
        progress: gets the number of events read since it was called last.
    """
    if skip_us < 0:
        raise UsageError(f"cannot skip {skip_us} µs; give zero or more.")
    recording = open_raw(raw, sensor, usual_sensor)
    found = read_boxes(box_path(raw), recording.begin_us)
    boxes = None if found is None else choice.apply(found)
    with _removed_if_empty(out), unfinished_beside(out / "ingest") as beside:
        summary = _write_shards(recording, boxes, beside, recording_id, skip_us, progress)
        write_sensor(out, recording_id, recording.sensor, choice.class_map)
        pairs = zip(_places(beside, recording_id), _places(out, recording_id), strict=True)
        moves = [pair for pair in pairs if replace or not _is_published(*pair)]
        with _set_aside([place for _, place in moves], beside / "replaced"):
            publish_folders(moves)
    others = 0 if found is None or boxes is None else len(found) - len(boxes)
    return dataclasses.replace(summary, other_boxes=others)


@contextlib.contextmanager
def _set_aside(places: list[Path], aside: Path) -> Iterator[None]:
    """Move what is at ``places`` into the new folder ``aside``; back again when the block raises."""
    moved: list[tuple[Path, Path]] = []
    try:
        for number, place in enumerate(places):
            if _exists(place):
                aside.mkdir(exist_ok=True)
                os.rename(place, aside / str(number))
                moved.append((place, aside / str(number)))
        yield
    except BaseException:
        for place, kept in moved:
            os.rename(kept, place)
        raise


def _places(root: Path, recording_id: str) -> list[Path]:
    split, filelist, name = recording_id.split("/")
    return [root / split / filelist / kind / name for kind in ("labels", "events")]


def _exists(path: Path) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _is_published(built: Path, place: Path) -> bool:
    """Whether ``place`` holds what was built; refuses to mix it with anything else."""
    if not _exists(place):
        return False
    names = sorted(os.listdir(built))
    if names == sorted(os.listdir(place)) and all(
        filecmp.cmp(built / name, place / name, shallow=False) for name in names
    ):
        return True
    raise UsageError(f"{place}: another recording is there; remove it or choose another folder.")


@contextlib.contextmanager
def _removed_if_empty(out: Path) -> Iterator[None]:
    """When the block raises, ``out`` goes too if it holds nothing."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            out.rmdir()
        raise


def _write_shards(
    recording: RawRecording,
    boxes: np.ndarray | None,
    root: Path,
    recording_id: str,
    skip_us: int,
    progress: Callable[[int], object] | None,
) -> IngestSummary:
    width, height = recording.sensor
    group: list[RawWindow] = []
    events = shards = written_boxes = outside = 0
    span: list[int] = []  # clock slots of the first and the last window written
    for window in split_windows(recording.blocks(), skip_us, str(recording.path)):
        if progress is not None:
            progress(len(window.events))
        group.append(window)
        if len(group) < WINDOWS_PER_SHARD:
            continue
        labels = [boxes_of_window(boxes, w.slot) for w in group]
        windows = [w.events for w in group]
        number = group[0].number // WINDOWS_PER_SHARD
        write_shard(root, recording_id, number, windows, labels)
        _require_readable(recording.path, shard_path(root, recording_id, number, "events"))
        shards += 1
        events += sum(map(len, windows))
        written_boxes += sum(map(len, labels))
        outside += sum(int(((w["x"] >= width) | (w["y"] >= height)).sum()) for w in windows)
        span = [span[0] if span else group[0].slot, window.slot]
        group = []
    if not shards:
        raise RecordingError(
            f"{recording.path}: holds {counted(len(group), 'window')} with events after the first "
            f"{skip_us / 1e6:g} s, a shard needs {WINDOWS_PER_SHARD}; "
            "skip less, or leave the recording out."
        )
    return IngestSummary(
        source=recording.path,
        format=recording.format,
        begin_us=recording.begin_us,
        recording_id=recording_id,
        sensor=recording.sensor,
        events=events,
        windows=shards * WINDOWS_PER_SHARD,
        shards=shards,
        empty_windows=span[1] - span[0] + 1 - shards * WINDOWS_PER_SHARD,
        left_over=len(group),
        boxes=None if boxes is None else written_boxes,
        outside=outside,
    )


def _require_readable(raw: Path, shard: Path) -> None:
    """Nothing is written that `scan` and `voxelize` would not read."""
    if os.stat(shard).st_size > EVENT_BOUNDS.file:
        raise RecordingError(
            f"{raw}: ten of its windows take more than the {EVENT_BOUNDS.file} bytes that a shard's "
            "file may have; leave the recording out."
        )
