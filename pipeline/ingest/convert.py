"""Raw recordings → release shards, by the release's rules.

Windows are ``[k·50 000, (k+1)·50 000)`` µs of the recording's own clock, the first half second is
left out, and ten windows make a shard. A window without events is left out too: the ten members
``e0…e9`` of a shard are the next ten windows that hold events, and the shard's number is the clock
index of its first window divided by ten. Numbers therefore advance with the clock and never repeat,
but they are no clock: continuity comes from the event times alone. Windows at the end that do not
fill a shard are thrown away.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import RecordingError, ShardError, UsageError
from pipeline.files.whole import publish_folders, unfinished_beside
from pipeline.ingest.raw_recording import RawRecording, open_raw
from pipeline.release.members import as_labels
from pipeline.release.sensors import write_sensor
from pipeline.release.shards import (
    LABEL_DTYPE,
    SKIP_US,
    SPLITS,
    WINDOW_US,
    WINDOWS_PER_SHARD,
    write_shard,
)


@dataclass(frozen=True)
class IngestSummary:
    """What became of one raw recording.

    ``windows`` were written in ``shards`` shards; ``empty_windows`` lie between them and hold no
    event; ``left_over`` windows at the end did not fill a shard. ``boxes`` are those written,
    ``None`` where the recording has no box file. ``outside`` counts written events beyond the
    sensor, which the pillar encoder will drop.
    """

    source: Path
    recording_id: str
    sensor: tuple[int, int]
    events: int
    windows: int
    shards: int
    empty_windows: int
    left_over: int
    boxes: int | None
    outside: int

    def lines(self) -> list[str]:
        """Sentences for a person."""
        width, height = self.sensor
        said = [
            f"{self.recording_id}: {_count(self.events, 'event')} of a {width}x{height} sensor in "
            f"{_count(self.windows, 'window')}, {_count(self.shards, 'shard')}."
        ]
        if self.boxes is None:
            said.append(
                f"{self.source.name} has no box file ({box_path(self.source).name} beside it): "
                "its label arrays are empty."
            )
        else:
            said.append(f"{_count(self.boxes, 'box', 'boxes')} from {box_path(self.source).name}.")
        if self.empty_windows:
            said.append(f"{_count(self.empty_windows, 'window')} without events left out.")
        if self.left_over:
            said.append(
                f"{_count(self.left_over, 'window')} at the end thrown away: a shard needs ten."
            )
        if self.outside:
            said.append(f"{_count(self.outside, 'event')} outside the sensor kept as they are.")
        return said


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def recording_name(raw: Path) -> str:
    """``<name>`` of ``<name>_td.dat``, ``<name>.dat``, ``<name>_td.dat.h5`` and the like."""
    return re.sub(r"(_td)?(\.dat)?(\.h5|\.hdf5)?$", "", raw.name, count=1, flags=re.IGNORECASE)


def box_path(raw: Path) -> Path:
    """Where a recording's boxes are, if it has any: ``<name>_bbox.npy`` beside it."""
    return raw.with_name(f"{recording_name(raw)}_bbox.npy")


def ingest_recording(
    raw: Path,
    out: Path,
    split: str,
    *,
    skip_us: int = SKIP_US,
    filelist: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> IngestSummary:
    """Write the recording ``raw`` as shards of the release at ``out``.

    It becomes ``<split>/<filelist>/…/<name>`` with ``<split>filelist00`` by default, and its sensor
    size is noted beside the release. The recording appears whole or not at all.

    Args:
        raw: a DAT or HDF5 file.
        out: the release's folder.
        split: ``train``, ``val`` or ``test``.
        skip_us: left out at the begin; counted from the clock's zero, rounded up to whole windows.
        filelist: folder in the split.
        progress: gets the number of windows read since it was called last; what it raises ends the
            work.

    Raises:
        UsageError: the recording is there already, the file is missing, an option is wrong.
        RecordingError: the file cannot be read or fills no shard, or ``out`` cannot be written.
    """
    try:
        return convert_recording(raw, out, split, skip_us, filelist, progress)
    except OSError as error:
        raise cannot_write(out, error) from None


def cannot_write(out: Path, error: OSError) -> RecordingError:
    """The sentence for a release at ``out`` of which the machine takes no more."""
    return RecordingError(
        f"{out}: cannot be written ({error.strerror}); check the free space and the permissions."
    )


def convert_recording(
    raw: Path,
    out: Path,
    split: str,
    skip_us: int,
    filelist: str | None,
    progress: Callable[[int], object] | None,
) -> IngestSummary:
    """:func:`ingest_recording`, but a fault of the machine is left an :class:`OSError`."""
    if split not in SPLITS:
        raise UsageError(f"'{split}' is not a split; choose one of {', '.join(SPLITS)}.")
    if skip_us < 0:
        raise UsageError(f"cannot skip {skip_us} µs; give zero or more.")
    recording = open_raw(raw)
    name = recording_name(raw)
    if not name or name.startswith("."):
        raise UsageError(f"{raw}: its file name gives the recording no name; rename it.")
    recording_id = f"{split}/{filelist or f'{split}filelist00'}/{name}"
    places = [_folder(out, recording_id, kind) for kind in ("labels", "events")]
    for place in places:
        if place.exists():
            raise UsageError(
                f"{place}: the recording is there already; remove it or choose another folder."
            )
    boxes = _read_boxes(box_path(raw))
    with _removed_if_empty(out), unfinished_beside(out / "ingest") as beside:
        summary = _write_shards(recording, boxes, beside, recording_id, skip_us, progress)
        write_sensor(out, recording_id, recording.sensor)
        built = [_folder(beside, recording_id, kind) for kind in ("labels", "events")]
        publish_folders(list(zip(built, places, strict=True)))
    return summary


def _folder(root: Path, recording_id: str, kind: str) -> Path:
    split, filelist, name = recording_id.split("/")
    return root / split / filelist / kind / name


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
    group: list[tuple[int, np.ndarray]] = []
    events = shards = written_boxes = outside = 0
    span: list[int] = []  # clock index of the first and the last window written
    for index, window in split_windows(recording.blocks(), skip_us):
        if progress is not None:
            progress(1)
        group.append((index, window))
        if len(group) < WINDOWS_PER_SHARD:
            continue
        labels = [boxes_of_window(boxes, k) for k, _ in group]
        windows = [content for _, content in group]
        write_shard(root, recording_id, group[0][0] // WINDOWS_PER_SHARD, windows, labels)
        shards += 1
        events += sum(map(len, windows))
        written_boxes += sum(map(len, labels))
        outside += sum(int(((w["x"] >= width) | (w["y"] >= height)).sum()) for w in windows)
        span = [span[0] if span else group[0][0], index]
        group = []
    if not shards:
        raise RecordingError(
            f"{recording.path}: holds {_count(len(group), 'window')} with events after the first "
            f"{skip_us / 1e6:g} s, a shard needs {WINDOWS_PER_SHARD}; "
            "skip less, or leave the recording out."
        )
    return IngestSummary(
        source=recording.path,
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


def split_windows(blocks: Iterable[np.ndarray], skip_us: int) -> Iterator[tuple[int, np.ndarray]]:
    """Clock index and events of every window that holds any, from blocks of any length.

    ``blocks``: ``EVENT_DTYPE [N]`` with times that never decrease. Windows that begin before
    ``skip_us`` are left out.
    """
    first = -(-skip_us // WINDOW_US)
    parts: list[np.ndarray] = []
    current = -1
    for block in blocks:
        kept = block[np.searchsorted(block["t"], first * WINDOW_US) :]
        indices = kept["t"] // WINDOW_US
        bounds = np.flatnonzero(np.diff(indices)) + 1
        for start, part in zip([0, *bounds], np.split(kept, bounds), strict=True):
            if not len(part):
                continue
            index = int(indices[start])
            if parts and index != current:
                yield current, _joined(parts)
                parts = []
            current = index
            parts.append(part)
    if parts:
        yield current, _joined(parts)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts)  # a copy, so that no view keeps a whole block alive


def _read_boxes(path: Path) -> np.ndarray | None:
    """All boxes of a recording in the order of their times, ``LABEL_DTYPE [M]``; None without."""
    if not path.exists():
        return None
    try:
        boxes = as_labels(np.load(path, allow_pickle=False), str(path))
    except ShardError as error:
        raise RecordingError(str(error)) from None
    except (OSError, ValueError, EOFError, AttributeError) as error:
        raise RecordingError(
            f"{path}: not a box file ({error}); download it again, or move it away to ingest "
            "without boxes."
        ) from None
    return boxes[np.argsort(boxes["t"], kind="stable")]


def boxes_of_window(boxes: np.ndarray | None, index: int) -> np.ndarray:
    """The first box of each track in one window, in the order of their times.

    ``boxes``: ``LABEL_DTYPE [M]`` sorted by time, or None for a recording without boxes.
    """
    if boxes is None:
        return np.empty(0, LABEL_DTYPE)
    clock = np.array([index, index + 1], np.uint64) * np.uint64(WINDOW_US)
    start, end = np.searchsorted(boxes["t"], clock)
    inside = boxes[start:end]
    _, first = np.unique(inside["track_id"], return_index=True)
    return inside[np.sort(first)]
