"""One recording's shards to its pillars in the cache, window by window.

A window that cannot be used is handled by a policy and named, never repaired in silence.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from pipeline.cache.settings import CacheSettings
from pipeline.cache.writer import RecordingWriter
from pipeline.defects import BOX_FAULTS, Defect, EventFacts
from pipeline.errors import DataError, ShardError
from pipeline.pillars.event_facts import event_facts, packed_event_facts
from pipeline.pillars.packing import PackedWindow, Workspace, pack_window
from pipeline.release.gaps import Clock, follows, window_time
from pipeline.release.label_checks import LabelChecks
from pipeline.release.labels import label_defects
from pipeline.release.shards import RecordingFiles
from pipeline.release.windows import Window, window_defects
from pipeline.voxelizing.outcome import LeftOut, RecordingReport
from pipeline.voxelizing.policy import CorruptPolicy, repeats
from pipeline.voxelizing.reading import SourceFiles, windows_of


def voxelize_recording(
    files: RecordingFiles,
    sensor: tuple[int, int],
    cache: Path,
    scratch: Path,
    settings: CacheSettings,
    on_corrupt: str = CorruptPolicy.QUARANTINE,
    tick: Callable[[int], None] = lambda source_bytes: None,
    *,
    read_ahead: bool = True,
) -> RecordingReport:
    """Read one recording's shards and publish its pillars in the cache.

    The caller holds the writer's place (:func:`pipeline.cache.lock.open_for_writing`).

    Args:
        files: The recording's shards.
        sensor: Width and height in pixels.
        cache: The cache's root.
        scratch: A folder of the run's own on the same disk; the recording is built there.
        settings: The cache's settings.
        on_corrupt: A :class:`CorruptPolicy`, or its name.
        tick: Called at every window with the source bytes read since the last call; what it raises
            ends the work, and nothing of it remains.
        read_ahead: A second thread reads and hashes the next shard.

    Raises:
        ShardError: A window cannot be used, under the policy ``fail``.
        OSError: A file cannot be read, or the cache cannot be written.
    """
    policy = CorruptPolicy(on_corrupt)
    report = RecordingReport(files.id)
    workspace = Workspace(settings.encoding(sensor))
    source = SourceFiles()
    clock = Clock()
    known_classes = len(settings.class_names)
    checks = LabelChecks(sensor, known_classes) if settings.drop else None
    with (
        RecordingWriter(cache, files.id, sensor, settings, scratch) as writer,
        closing(windows_of(files, source, read_ahead=read_ahead)) as windows,
    ):
        previous: PackedWindow | None = None  # the last window kept, and its begin in µs
        previous_begin: int | None = None
        for window in windows:
            tick(source.total_bytes - report.source_bytes)
            report.source_bytes = source.total_bytes
            packed, facts, unpackable = _pack(window, files, workspace)
            labels = window.labels if isinstance(window.labels, np.ndarray) else None
            begin, is_gap = clock.place(window_time(facts, labels))
            known = None if facts is None else begin  # without facts it is a guess
            boxes = {} if labels is None else label_defects(labels, sensor, known, known_classes)
            faults = None
            if checks is not None and labels is not None:
                events = window.events if isinstance(window.events, np.ndarray) else None
                faults = checks.judge(labels, events, facts, begin).only(map(Defect, settings.drop))
                boxes |= faults.counts()
            for found in window_defects(window, facts, boxes):
                report.defects[found.defect.value] += found.count
            if unpackable is not None:
                report.defects[unpackable.defect.value] += 1
            if is_gap:
                report.defects[Defect.TIME_GAP.value] += 1
            fault = window.fault or unpackable
            repeated = False
            if fault is not None:
                repeated = repeats(policy, fault, previous is not None and labels is not None)
                report.left_out.append(
                    LeftOut(files.id, window.shard, window.member, fault.defect, repeated)
                )
                packed = previous if repeated else None
            if packed is None or labels is None:
                continue
            writer.append(
                packed,
                labels,
                shard=window.shard,
                member=window.member,
                t_start=begin,
                starts=not follows(begin, previous_begin),
                repeated=repeated,
                left_out=None if faults is None else faults.any_of(BOX_FAULTS),
            )
            report.events += packed.counts.read
            previous, previous_begin = packed, begin
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


def _pack(
    window: Window, files: RecordingFiles, workspace: Workspace
) -> tuple[PackedWindow | None, EventFacts | None, ShardError | None]:
    """The window's pillars, the facts of its events, and why these settings cannot hold it."""
    events = window.events
    if not isinstance(events, np.ndarray):
        return None, None, None
    if window.fault is not None:  # of its labels: its events still count, and tell its time
        return None, event_facts(events, workspace.encoding.sensor), None
    try:
        packed = pack_window(events, workspace)
    except DataError as error:
        where = f"{files.id}, shard {window.shard:03d}, member e{window.member}"
        fault = ShardError(f"{where}: {error}", Defect.WRONG_DTYPE)
        return None, event_facts(events, workspace.encoding.sensor), fault
    return packed, packed_event_facts(packed, events), None
