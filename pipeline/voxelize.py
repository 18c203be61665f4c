"""Shards to pillar cache, recording by recording: resumable, and in parallel with dask.

A recording is read shard by shard, so memory does not grow with its length. What cannot be used is
handled by a policy and named, never repaired in silence.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache_layout import CacheSettings
from pipeline.cache_writer import RecordingWriter, open_for_writing, root_attributes
from pipeline.defects import Defect
from pipeline.errors import CacheError, ShardError, UsageError
from pipeline.labels import label_defects
from pipeline.npz import NpzFile
from pipeline.pillars import PackedWindow, Workspace, pack_window
from pipeline.release import (
    WINDOW_US,
    WINDOWS_PER_SHARD,
    RecordingFiles,
    ShardFiles,
    read_events,
    read_labels,
)

POLICIES = ("quarantine", "fail", "repeat")


@dataclass(frozen=True)
class LeftOut:
    """A window that is not in the cache as the release meant it, and why."""

    shard: int
    member: int
    defect: Defect
    message: str
    repeated: bool = False


@dataclass
class RecordingReport:
    """What voxelizing one recording gave. ``defects`` counts faults by name, fatal or not."""

    recording: str
    windows: int = 0
    events: int = 0
    source_bytes: int = 0
    defects: Counter[str] = field(default_factory=Counter)
    left_out: list[LeftOut] = field(default_factory=list)


@dataclass
class VoxelizeReport:
    """What a run did: recordings made now, and those that were complete before."""

    made: list[RecordingReport]
    already_complete: list[str]


@dataclass(frozen=True)
class _Window:
    """Raw material of one window; ``fault`` instead of events when they cannot be used."""

    shard: int
    member: int
    events: np.ndarray | None
    labels: np.ndarray | None
    fault: ShardError | None


def voxelize(
    recordings: Sequence[RecordingFiles],
    sensor_of: Callable[[str], tuple[int, int]],
    cache: Path,
    settings: CacheSettings,
    *,
    workers: int = 1,
    on_corrupt: str = "quarantine",
    on_done: Callable[[RecordingReport], None] = lambda report: None,
) -> VoxelizeReport:
    """Build or continue the cache at ``cache`` from ``recordings``.

    ``sensor_of`` gives a recording's sensor (width, height) by its id. ``workers`` processes share
    the recordings (dask, on this machine); ``on_done`` is called after each one is published.
    Published recordings are kept when their source files are the same and refused otherwise. Raises
    :class:`CacheError` for a cache of other settings or with another writer, and with the policy
    ``fail`` the first :class:`ShardError`.
    """
    if on_corrupt not in POLICIES:
        raise UsageError(f"policy '{on_corrupt}' is unknown; choose one of {', '.join(POLICIES)}.")
    with open_for_writing(cache, settings):
        todo, complete = [], []
        for files in recordings:
            if (cache / files.id).exists():
                _check_same_source(cache, files)
                complete.append(files.id)
            else:
                todo.append(files)
        made = []
        for report in _run(todo, sensor_of, cache, settings, on_corrupt, workers):
            made.append(report)
            on_done(report)
    return VoxelizeReport(made, complete)


def _run(
    todo: Sequence[RecordingFiles],
    sensor_of: Callable[[str], tuple[int, int]],
    cache: Path,
    settings: CacheSettings,
    on_corrupt: str,
    workers: int,
) -> Iterator[RecordingReport]:
    if workers == 1 or len(todo) < 2:
        for files in todo:
            yield voxelize_recording(files, sensor_of(files.id), cache, settings, on_corrupt)
        return
    from dask.distributed import Client, as_completed

    # Processes, because the npz parsing and zarr's bookkeeping hold the interpreter lock.
    with Client(
        n_workers=min(workers, len(todo)),
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
    ) as client:
        futures = [
            client.submit(
                voxelize_recording,
                files,
                sensor_of(files.id),
                cache,
                settings,
                on_corrupt,
                pure=False,
            )
            for files in todo
        ]
        for future in as_completed(futures):
            yield future.result()


def voxelize_recording(
    files: RecordingFiles,
    sensor: tuple[int, int],
    cache: Path,
    settings: CacheSettings,
    on_corrupt: str = "quarantine",
) -> RecordingReport:
    """Read one recording's shards and publish its pillars. The caller holds the writer's lock."""
    report = RecordingReport(files.id)
    workspace = Workspace(settings.pillar_settings(sensor))
    source = _Source()
    with RecordingWriter(cache, files.id, sensor, settings) as writer:
        previous: PackedWindow | None = None
        previous_start: int | None = None
        for window in _windows(files, source):
            packed, repeated = None, False
            if window.fault is None and window.events is not None:
                packed = pack_window(window.events, workspace)
            else:
                _apply_policy(window, on_corrupt, previous is not None, report)
                if on_corrupt == "repeat" and previous is not None and window.labels is not None:
                    packed, repeated = previous, True
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
        report.source_bytes = source.total_bytes
        left_out = [
            {"shard": w.shard, "member": w.member, "defect": w.defect, "repeated": w.repeated}
            for w in report.left_out
        ]
        writer.publish(
            source.describe(),
            {"counts": dict(sorted(report.defects.items())), "left_out": left_out},
        )
    return report


class _Source:
    """Collects the identity of the files a recording was read from."""

    def __init__(self) -> None:
        self._files: list[dict[str, Any]] = []
        self.total_bytes = 0

    def add(self, file: NpzFile) -> None:
        digest = hashlib.sha256(file.raw).hexdigest()
        self._files.append({"name": file.path.name, "bytes": len(file.raw), "sha256": digest})
        self.total_bytes += len(file.raw)

    def describe(self) -> dict[str, Any]:
        names = "".join(f"{f['name']} {f['sha256']}\n" for f in self._files)
        return {"digest": hashlib.sha256(names.encode()).hexdigest(), "files": self._files}


def _check_same_source(cache: Path, files: RecordingFiles) -> None:
    """Refuse to continue when a published recording came from other files (by name and size)."""
    published = root_attributes(cache / files.id)["source"]["files"]
    known = {entry["name"]: entry["bytes"] for entry in published}
    for shard in files.shards:
        for path in (shard.events, shard.labels):
            if path is not None and known.get(path.name, -1) != path.stat().st_size:
                size = known.get(path.name)
                raise CacheError(
                    f"{path}: has {path.stat().st_size} bytes, the cache was made from "
                    f"{f'{size} bytes' if size else 'no such file'}; delete {cache / files.id} to "
                    "make this recording again, or use another cache."
                )


def _windows(files: RecordingFiles, source: _Source) -> Iterator[_Window]:
    """Every window of a recording in order, shard by shard, with what is wrong with it."""
    for shard in files.shards:
        events = _open(shard.events, shard, Defect.MISSING_EVENT_FILE, source)
        labels = _open(shard.labels, shard, Defect.MISSING_LABEL_FILE, source)
        for member in range(WINDOWS_PER_SHARD):
            fault: ShardError | None = None
            event_records = label_records = None
            try:
                if isinstance(labels, ShardError):
                    raise labels
                label_records = read_labels(labels, member)
                if isinstance(events, ShardError):
                    raise events
                event_records = read_events(events, member)
            except ShardError as error:
                fault = error
            yield _Window(shard.number, member, event_records, label_records, fault)


def _open(
    path: Path | None, shard: ShardFiles, missing: Defect, source: _Source
) -> NpzFile | ShardError:
    if path is None:
        other = shard.labels if missing is Defect.MISSING_EVENT_FILE else shard.events
        kind = "event" if missing is Defect.MISSING_EVENT_FILE else "label"
        return ShardError(
            f"{other}: its {kind} file with number {shard.number:03d} is missing; "
            "restore it from the release.",
            missing,
        )
    try:
        file = NpzFile(path)
    except ShardError as error:
        return error
    source.add(file)
    return file


def _apply_policy(
    window: _Window, on_corrupt: str, has_previous: bool, report: RecordingReport
) -> None:
    fault = window.fault
    assert fault is not None
    if on_corrupt == "fail":
        raise ShardError(
            f"{fault} (Leave such windows out with --on-corrupt quarantine.)", fault.defect
        )
    repeated = on_corrupt == "repeat" and has_previous and window.labels is not None
    report.defects[fault.defect.value] += 1
    report.left_out.append(LeftOut(window.shard, window.member, fault.defect, str(fault), repeated))


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
