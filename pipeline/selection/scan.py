"""A release on disk → its manifest: what every recording holds, and what is wrong with it.

Every member is inflated and checked against its CRC-32 once. A damaged shard is recorded and never
stops the scan.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.defects import Defect
from pipeline.pillars.event_facts import event_facts
from pipeline.release.gaps import Clock, Place, window_time
from pipeline.release.labels import CLASS_NAMES, LabelRules, apply_label_rules
from pipeline.release.npz import NpzFile
from pipeline.release.opened import OpenedFile, open_events, open_labels
from pipeline.release.sensors import read_sensors
from pipeline.release.shards import (
    SENSOR_SIZE,
    WINDOWS_PER_SHARD,
    RecordingFiles,
    ShardFiles,
    walk_release,
)
from pipeline.release.windows import Window, read_window, window_defects
from pipeline.selection.box_scan import BoxScan
from pipeline.selection.entries import DefectPlace, RecordingEntry, ShardEntry, recording_digest
from pipeline.selection.manifest import Manifest
from pipeline.tasks.outcomes import counted, result_of
from pipeline.tasks.run import run_tasks

MAX_PLACES = 10  # places listed for each defect of a recording; all are counted
_WORTH_A_PROCESS = 128 << 20  # bytes: read in about two seconds, a process starts in one

#: Called after each shard with the number of shards done and the number of all.
Progress = Callable[[int, int], None]


@dataclass
class ShardScan:
    """What one shard holds.

    Attributes:
        number: The shard's number.
        sizes: Bytes of the two files, by kind (``events``, ``labels``).
        digests: SHA-256 of the two files, by kind.
        members: How many of the ten windows each file has, by kind.
        events: Number of events that can be read.
        span_us: First and last time in µs of those events, inside the sensor or not.
        labels: int64 ``[7]``, boxes by class number.
        kept: int64 ``[7]``, those the label rules keep.
        found: Each defect's place, and how often it is there.
    """

    number: int
    sizes: dict[str, int | None] = field(default_factory=dict)
    digests: dict[str, str | None] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)
    events: int = 0
    span_us: tuple[int, int] | None = None
    labels: np.ndarray = field(default_factory=lambda: np.zeros(len(CLASS_NAMES), np.int64))
    kept: np.ndarray = field(default_factory=lambda: np.zeros(len(CLASS_NAMES), np.int64))
    found: list[tuple[DefectPlace, int]] = field(default_factory=list)

    def note(self, defect: Defect, member: str | None, count: int = 1) -> None:
        """Enter a defect; ``member`` is ``None`` where it concerns a whole file."""
        self.found.append((DefectPlace(defect, self.number, member), count))


def scan_release(
    root: Path,
    *,
    labels_only: bool = False,
    rules: LabelRules | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Manifest:
    """Scan every recording below ``root``.

    Args:
        root: the release's folder.
        labels_only: read no event file, so that it works when only the small label files are there;
            sizes of event files that are present are still recorded.
        rules: decide which boxes count as kept (default: the release's); each recording's own
            sensor takes the place of theirs.
        workers: processes that share the recordings, no more than the release is worth.
        progress: is called after each shard.

    Raises:
        UsageError: a folder without recordings.
        DataError: a file cannot be read, also after several attempts.
    """
    recordings = walk_release(root)
    sensors = read_sensors(root)
    rules = rules or LabelRules()
    tasks = {
        files.id: _Job(files, replace(rules, sensor=sensors.get(files.id, SENSOR_SIZE)))
        for files in recordings
    }
    shards = sum(len(files.shards) for files in recordings)
    outcomes = run_tasks(
        partial(_scan_recording, labels_only=labels_only),
        tasks,
        counted(progress, shards),
        workers=_worthwhile(workers, recordings, labels_only),
    )
    with contextlib.closing(outcomes):
        rows = {outcome.key: result_of(outcome) for outcome in outcomes}
    return Manifest(
        root=root.resolve(),
        recordings=tuple(rows[files.id] for files in recordings),
        labels_only=labels_only,
    )


@dataclass(frozen=True)
class _Job:
    """A recording and the rules for its boxes, with its own sensor."""

    files: RecordingFiles
    rules: LabelRules


def _worthwhile(workers: int, recordings: Sequence[RecordingFiles], labels_only: bool) -> int:
    """How many of ``workers`` processes have enough to read."""
    total = 0
    for files in recordings:
        for shard in files.shards:
            for path in (shard.labels, None if labels_only else shard.events):
                with contextlib.suppress(OSError):  # the scan itself meets it, and tries again
                    total += path.stat().st_size if path is not None else 0
    return max(1, min(workers, total // _WORTH_A_PROCESS))


def _scan_recording(job: _Job, tick: Callable[[int], None], *, labels_only: bool) -> RecordingEntry:
    shards = []
    clock = Clock()
    boxes = BoxScan(job.rules.sensor, labels_only=labels_only)
    for shard in job.files.shards:
        shards.append(scan_shard(shard, job.rules, clock, boxes, labels_only=labels_only))
        tick(1)
    entry = _recording_entry(job.files, job.rules.sensor, shards, labels_only)
    return replace(entry, label_checks=boxes.entry())


def scan_shard(
    files: ShardFiles, rules: LabelRules, clock: Clock, boxes: BoxScan, *, labels_only: bool
) -> ShardScan:
    """Read one shard's two files; whatever is wrong with them becomes a named defect.

    Args:
        files: The shard's files.
        rules: Decide which boxes count as kept.
        clock: The recording's, which has seen the shards before this one.
        boxes: The recording's, likewise.
        labels_only: Read no event file. Windows then say nothing of their time.

    Raises:
        OSError: The machine fails to read a file, which says nothing about the file.
    """
    scan = ShardScan(files.number)
    events: NpzFile | None = None
    if not labels_only:
        events = _noted(open_events(files), "events", scan)
    else:
        scan.sizes["events"] = None if files.events is None else files.events.stat().st_size
        scan.digests["events"], scan.members["events"] = None, 0
    labels = _noted(open_labels(files), "labels", scan)
    gaps = []
    for k in range(WINDOWS_PER_SHARD):
        window = read_window(files.number, k, events, labels)
        if _add_window(window, rules, clock, boxes, scan).is_gap:
            gaps.append(f"e{k}")
    for member in gaps:
        scan.note(Defect.TIME_GAP, member)
    return scan


def _noted(file: OpenedFile, kind: str, scan: ShardScan) -> NpzFile | None:
    """What can be read of a file; a fault of the whole file is one defect, not ten."""
    scan.sizes[kind], scan.digests[kind] = file.size, file.sha256
    scan.members[kind] = 0
    if not isinstance(file.content, NpzFile):
        scan.note(file.content.defect, None)
        return None
    present = set(file.content.names())
    wanted = [f"{kind[0]}{k}" for k in range(WINDOWS_PER_SHARD)]
    scan.members[kind] = sum(name in present for name in wanted)
    return file.content


def _add_window(
    window: Window, rules: LabelRules, clock: Clock, boxes: BoxScan, scan: ShardScan
) -> Place:
    events = window.events if isinstance(window.events, np.ndarray) else None
    labels = window.labels if isinstance(window.labels, np.ndarray) else None
    facts = None
    if events is not None:
        facts = event_facts(events, rules.sensor)
        scan.events += len(events)
        if len(events):
            t = events["t"]
            ends = (t[0], t[-1]) if facts.is_sorted else (t.min(), t.max())
            before = scan.span_us or ends
            scan.span_us = min(int(ends[0]), before[0]), max(int(ends[1]), before[1])
    place = clock.place(window_time(facts, labels))
    if labels is not None:
        known = len(CLASS_NAMES)
        scan.labels += np.bincount(labels["class_id"], minlength=known)[:known]
        kept = apply_label_rules(labels, rules, None if facts is None else place.begin)
        scan.kept += np.bincount(kept.classes, minlength=known)
    faults = boxes.add(window, facts, place)
    for found in window_defects(window, facts, rules.sensor, place.begin, faults):
        scan.note(found.defect, found.member, found.count)
    return place


def _recording_entry(
    files: RecordingFiles, sensor: tuple[int, int], shards: Sequence[ShardScan], labels_only: bool
) -> RecordingEntry:
    entries = tuple(
        ShardEntry(
            shard.number,
            shard.sizes["events"],
            shard.sizes["labels"],
            shard.members["labels" if labels_only else "events"],
            shard.digests["events"],
            shard.digests["labels"],
        )
        for shard in shards
    )
    spans = [shard.span_us for shard in shards if shard.span_us is not None]
    counts: Counter[Defect] = Counter()
    listed: Counter[Defect] = Counter()
    places = []
    for shard in shards:
        for place, count in shard.found:
            counts[place.defect] += count
            listed[place.defect] += 1
            if listed[place.defect] <= MAX_PLACES:
                places.append(place)
    return RecordingEntry(
        id=files.id,
        sensor=sensor,
        bytes=sum((e.event_bytes or 0) + (e.label_bytes or 0) for e in entries),
        windows=sum(e.windows for e in entries),
        events=None if labels_only else sum(shard.events for shard in shards),
        time_us=(min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None,
        labels=_by_name(sum(shard.labels for shard in shards)),
        kept=_by_name(sum(shard.kept for shard in shards)),
        defects={defect: counts[defect] for defect in Defect if counts[defect]},
        defect_places=tuple(places),
        digest=None if labels_only else recording_digest(entries),
        shards=entries,
    )


def _by_name(counts: np.ndarray | int) -> dict[str, int]:
    return dict(zip(CLASS_NAMES, (int(n) for n in np.atleast_1d(counts)), strict=True))
