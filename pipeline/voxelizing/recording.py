"""One recording's shards to its pillars in the cache, window by window.

Shards are read one after the other, each while the one before is worked on, so memory does not grow with
a recording's length. A window that cannot be used is handled by a policy and named, never repaired in
silence. A file that the machine fails to read is not such a window: it ends the recording's task with
the system's own error.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache.records import CacheSettings
from pipeline.cache.writer import RecordingWriter
from pipeline.defects import Defect
from pipeline.errors import DataError, ShardError
from pipeline.pillars.packing import PackedWindow, Workspace, pack_window
from pipeline.release.labels import label_defects
from pipeline.release.npz import NpzFile
from pipeline.release.shards import (
    WINDOW_US,
    WINDOWS_PER_SHARD,
    RecordingFiles,
    ShardFiles,
    read_events,
    read_labels,
    release_order,
)

POLICIES = ("quarantine", "fail", "repeat")


@dataclass(frozen=True)
class LeftOut:
    """A window that is not in the cache as the release meant it, and why.

    ``repeated``: the window before it stands in its place.
    """

    recording: str
    shard: int
    member: int
    defect: Defect
    repeated: bool = False

    def __str__(self) -> str:
        what = "repeated" if self.repeated else "left out"
        return (
            f"{what}: {self.recording} shard {self.shard:03d} window {self.member}: {self.defect}"
        )

    @property
    def place(self) -> tuple[tuple[int, str], int, int]:
        """Sorts windows as a release does."""
        return release_order(self.recording), self.shard, self.member


@dataclass
class RecordingReport:
    """What voxelizing one recording gave. ``defects`` counts faults by name, fatal or not."""

    recording: str
    windows: int = 0
    events: int = 0
    source_bytes: int = 0
    defects: Counter[str] = field(default_factory=Counter)
    left_out: list[LeftOut] = field(default_factory=list)


@dataclass(frozen=True)
class _Window:
    """Raw material of one window; ``fault`` instead of events when they cannot be used."""

    shard: int
    member: int
    events: np.ndarray | None
    labels: np.ndarray | None
    fault: ShardError | None


def voxelize_recording(
    files: RecordingFiles,
    sensor: tuple[int, int],
    cache: Path,
    scratch: Path,
    settings: CacheSettings,
    on_corrupt: str = "quarantine",
    tick: Callable[[int], None] = lambda source_bytes: None,
    *,
    read_ahead: bool = True,
) -> RecordingReport:
    """Read one recording's shards and publish its pillars in ``cache``, built under ``scratch``.

    The caller holds the writer's place (:func:`pipeline.cache.lock.open_for_writing`). ``tick`` is
    called at every window with the source bytes read since; what it raises ends the work, and
    nothing of it remains. ``read_ahead``: a second thread reads and hashes the next shard. Raises
    :class:`ShardError` for a defect under the policy ``fail`` and :class:`OSError` when a file cannot
    be read or the cache cannot be written.
    """
    report = RecordingReport(files.id)
    workspace = Workspace(settings.encoding(sensor))
    source = _Source()
    with (
        RecordingWriter(cache, files.id, sensor, settings, scratch) as writer,
        closing(_windows(files, source, read_ahead)) as windows,
    ):
        previous: PackedWindow | None = None
        previous_start: int | None = None
        for window in windows:
            tick(source.total_bytes - report.source_bytes)
            report.source_bytes = source.total_bytes
            packed, window = _pack(window, files, workspace)
            repeated = False
            if packed is None:
                repeated = _apply_policy(window, on_corrupt, previous is not None, report)
                packed = previous if repeated else None
            if packed is None or window.labels is None:
                continue
            t_start = _window_start(window, packed, previous_start, repeated)
            starts = previous_start is None or t_start != previous_start + WINDOW_US
            _count_defects(report.defects, window, packed, sensor, starts and writer.windows > 0)
            writer.append(
                packed,
                window.labels,
                shard=window.shard,
                member=window.member,
                t_start=t_start,
                starts=starts,
                repeated=repeated,
            )
            report.events += packed.counts.read
            previous, previous_start = packed, t_start
        report.windows = writer.windows
        left_out = [
            {"shard": w.shard, "member": w.member, "defect": w.defect, "repeated": w.repeated}
            for w in report.left_out
        ]
        writer.publish(
            source.describe(),
            {"counts": dict(sorted(report.defects.items())), "left_out": left_out},
        )
    return report


@dataclass(frozen=True)
class _OpenedFile:
    """A file of a shard, or what is wrong with it; ``identity`` names what was read, if anything."""

    file: NpzFile | ShardError
    identity: dict[str, Any] | None


class _Source:
    """Collects the identity of the files a recording was read from."""

    def __init__(self) -> None:
        self._files: list[dict[str, Any]] = []
        self.total_bytes = 0

    def add(self, identity: dict[str, Any] | None) -> None:
        if identity is not None:
            self._files.append(identity)
            self.total_bytes += identity["bytes"]

    def describe(self) -> dict[str, Any]:
        names = "".join(f"{f['name']} {f['sha256']}\n" for f in self._files)
        return {"digest": hashlib.sha256(names.encode()).hexdigest(), "files": self._files}


def _windows(files: RecordingFiles, source: _Source, read_ahead: bool) -> Generator[_Window]:
    """Every window of a recording in order, shard by shard, with what is wrong with it."""
    opened = _read_ahead(files.shards) if read_ahead else map(_open_shard, files.shards)
    for shard, (events, labels) in zip(files.shards, opened, strict=True):
        source.add(events.identity)
        source.add(labels.identity)
        for member in range(WINDOWS_PER_SHARD):
            fault: ShardError | None = None
            event_records = label_records = None
            try:
                if isinstance(labels.file, ShardError):
                    raise labels.file
                label_records = read_labels(labels.file, member)
                if isinstance(events.file, ShardError):
                    raise events.file
                event_records = read_events(events.file, member)
            except ShardError as error:
                fault = error
            yield _Window(shard.number, member, event_records, label_records, fault)


def _read_ahead(shards: Sequence[ShardFiles]) -> Iterator[tuple[_OpenedFile, _OpenedFile]]:
    """Each shard's event and label file. While one is worked on, the next is read and hashed."""
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        coming = [reader.submit(_open_shard, shard) for shard in shards[:1]]
        for number in range(len(shards)):
            opened = coming.pop().result()
            coming = [
                reader.submit(_open_shard, later) for later in shards[number + 1 : number + 2]
            ]
            yield opened


def _open_shard(shard: ShardFiles) -> tuple[_OpenedFile, _OpenedFile]:
    return (
        _open(shard.events, shard, Defect.MISSING_EVENT_FILE),
        _open(shard.labels, shard, Defect.MISSING_LABEL_FILE),
    )


def _open(path: Path | None, shard: ShardFiles, missing: Defect) -> _OpenedFile:
    if path is None:
        other = shard.labels if missing is Defect.MISSING_EVENT_FILE else shard.events
        kind = "event" if missing is Defect.MISSING_EVENT_FILE else "label"
        fault = ShardError(
            f"{other}: its {kind} file with number {shard.number:03d} is missing; "
            "restore it from the release.",
            missing,
        )
        return _OpenedFile(fault, None)
    file: NpzFile | ShardError
    try:
        file = NpzFile(path)
        data = file.raw
    except ShardError as error:
        if isinstance(error.__context__, OSError):
            # The machine failed, not the data: leaving its windows out for good would be wrong.
            raise error.__context__ from None
        file, data = error, path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return _OpenedFile(file, {"name": path.name, "bytes": len(data), "sha256": digest})


def _pack(
    window: _Window, files: RecordingFiles, workspace: Workspace
) -> tuple[PackedWindow | None, _Window]:
    """The window's pillars, or none and the window with its fault."""
    if window.fault is not None or window.events is None:
        return None, window
    try:
        return pack_window(window.events, workspace), window
    except DataError as error:
        where = f"{files.id}, shard {window.shard:03d}, member e{window.member}"
        fault = ShardError(f"{where}: {error}", Defect.WRONG_DTYPE)
        return None, replace(window, events=None, fault=fault)


def _apply_policy(
    window: _Window, on_corrupt: str, has_previous: bool, report: RecordingReport
) -> bool:
    """Note a window that cannot be used; whether the one before it takes its place."""
    fault = window.fault
    assert fault is not None
    if on_corrupt == "fail":
        raise ShardError(
            f"{fault} (Leave such windows out with --on-corrupt quarantine.)", fault.defect
        )
    repeated = on_corrupt == "repeat" and has_previous and window.labels is not None
    report.defects[fault.defect.value] += 1
    report.left_out.append(
        LeftOut(report.recording, window.shard, window.member, fault.defect, repeated)
    )
    return repeated


def _window_start(
    window: _Window, packed: PackedWindow, previous_start: int | None, repeated: bool
) -> int:
    """Begin of the window on the recording's clock, µs, from its events or, without any, labels."""
    follows = 0 if previous_start is None else previous_start + WINDOW_US
    if repeated:
        return follows
    assert window.events is not None
    assert window.labels is not None
    if packed.counts.in_range:
        t = packed.t_first
    elif len(window.events):
        t = int(window.events["t"].min())
    elif len(window.labels):
        t = int(window.labels["t"].min())
    else:
        return follows
    return t // WINDOW_US * WINDOW_US


def _count_defects(
    defects: Counter[str],
    window: _Window,
    packed: PackedWindow,
    sensor: tuple[int, int],
    gap: bool,
) -> None:
    """Count what is odd about a window that is kept all the same."""
    counts = packed.counts
    assert window.labels is not None
    found: dict[Defect, int] = dict(label_defects(window.labels, sensor))
    if window.fault is None:
        found[Defect.UNSORTED_TIME] = int(not packed.was_sorted)
        found[Defect.EMPTY_WINDOW] = int(counts.in_range == 0)
        found[Defect.SINGLE_TIMESTAMP] = int(counts.in_range > 1 and packed.span == 0)
        found[Defect.SINGLE_POLARITY] = int(
            counts.in_range > 1 and counts.positive_in_range in (0, counts.in_range)
        )
    found[Defect.TIME_GAP] = int(gap)
    for defect, count in found.items():
        if count:
            defects[defect.value] += count
