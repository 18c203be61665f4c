"""A release on disk → its manifest: what every recording holds, and what is wrong with it.

Every member is inflated and checked against its CRC-32 once. A damaged shard is recorded and never
stops the scan.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.defects import Defect
from pipeline.errors import ShardError
from pipeline.pillars.packing_kernels import window_facts
from pipeline.release.labels import CLASS_NAMES, LabelRules, apply_label_rules, label_defects
from pipeline.release.npz import NpzFile
from pipeline.release.sensors import read_sensors
from pipeline.release.shards import (
    SENSOR_SIZE,
    WINDOW_US,
    WINDOWS_PER_SHARD,
    RecordingFiles,
    ShardFiles,
    read_events,
    read_labels,
    walk_release,
)
from pipeline.selection.manifest import (
    DefectPlace,
    Manifest,
    RecordingEntry,
    ShardEntry,
    recording_digest,
)

MAX_PLACES = 10  # places listed for each defect of a recording; all are counted

#: Called after each shard with the number of shards done and the number of all.
Progress = Callable[[int, int], None]


class WindowTime(NamedTuple):
    """First and last event time of a window, µs; ``None`` where it has no readable event."""

    member: str
    first: int | None
    last: int | None


@dataclass
class ShardScan:
    """What one shard holds. ``labels``, ``kept``: int64 ``[7]``, boxes by class number."""

    number: int
    sizes: dict[str, int | None] = field(default_factory=dict)
    digests: dict[str, str | None] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)
    events: int = 0
    times: list[WindowTime] = field(default_factory=list)
    labels: np.ndarray = field(default_factory=lambda: np.zeros(len(CLASS_NAMES), np.int64))
    kept: np.ndarray = field(default_factory=lambda: np.zeros(len(CLASS_NAMES), np.int64))
    found: list[tuple[DefectPlace, int]] = field(default_factory=list)

    def note(self, defect: Defect, member: str | None, count: int = 1) -> None:
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

    ``rules`` (default: the release's) decide which boxes count as kept; each recording's own sensor
    takes the place of theirs.

    ``labels_only`` reads no event file, so that it works when only the small label files are there;
    sizes of event files that are present are still recorded. ``workers`` threads read shards side
    by side (inflating and hashing leave the interpreter's lock). Raises :class:`UsageError` for a
    folder without recordings.
    """
    recordings = walk_release(root)
    sensors = read_sensors(root)
    jobs = [
        (shard, replace(rules or LabelRules(), sensor=sensors.get(recording.id, SENSOR_SIZE)))
        for recording in recordings
        for shard in recording.shards
    ]

    def scan(job: tuple[ShardFiles, LabelRules]) -> ShardScan:
        return scan_shard(job[0], job[1], labels_only=labels_only)

    rows = []
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        results = _counted(pool.map(scan, jobs), len(jobs), progress)
        try:
            for recording in recordings:
                shards = [next(results) for _ in recording.shards]
                sensor = sensors.get(recording.id, SENSOR_SIZE)
                rows.append(_recording_entry(recording, sensor, shards, labels_only))
        except BaseException:  # an interrupt must not wait for the whole release
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Manifest(root=root.resolve(), recordings=tuple(rows), labels_only=labels_only)


def _counted(
    results: Iterator[ShardScan], total: int, progress: Progress | None
) -> Iterator[ShardScan]:
    for done, result in enumerate(results, start=1):
        if progress is not None:
            progress(done, total)
        yield result


def scan_shard(files: ShardFiles, rules: LabelRules, *, labels_only: bool) -> ShardScan:
    """Read one shard's two files; whatever is wrong becomes a named defect."""
    scan = ShardScan(files.number)
    events = _open(files.events, "events", scan, read=not labels_only)
    labels = _open(files.labels, "labels", scan, read=True)
    for k in range(WINDOWS_PER_SHARD):
        if events is not None:
            _scan_events(events, k, rules.sensor, scan)
        if labels is not None:
            _scan_labels(labels, k, rules, scan)
    if events is None and not labels_only:  # the windows are lost, but their time has passed
        scan.times = [WindowTime(f"e{k}", None, None) for k in range(WINDOWS_PER_SHARD)]
    return scan


def _open(path: Path | None, kind: str, scan: ShardScan, *, read: bool) -> NpzFile | None:
    scan.sizes[kind] = scan.digests[kind] = None
    scan.members[kind] = 0
    if path is None:
        if read:
            missing = {"events": Defect.MISSING_EVENT_FILE, "labels": Defect.MISSING_LABEL_FILE}
            scan.note(missing[kind], None)
        return None
    if not read:
        scan.sizes[kind] = path.stat().st_size
        return None
    try:
        shard = NpzFile(path)
    except ShardError as error:
        scan.note(error.defect, None)
        scan.sizes[kind], scan.digests[kind] = _size_and_digest(path)
        return None
    scan.sizes[kind] = len(shard.raw)
    scan.digests[kind] = hashlib.sha256(shard.raw).hexdigest()
    present = set(shard.names())
    wanted = [f"{kind[0]}{k}" for k in range(WINDOWS_PER_SHARD)]
    scan.members[kind] = sum(name in present for name in wanted)
    return shard


def _size_and_digest(path: Path) -> tuple[int | None, str | None]:
    try:
        data = path.read_bytes()
    except OSError:
        return None, None
    return len(data), hashlib.sha256(data).hexdigest()


def _scan_events(shard: NpzFile, k: int, sensor: tuple[int, int], scan: ShardScan) -> None:
    member = f"e{k}"
    try:
        events = read_events(shard, k)
    except ShardError as error:
        scan.note(error.defect, member)
        scan.times.append(WindowTime(member, None, None))
        return
    scan.events += len(events)
    if not len(events):
        scan.note(Defect.EMPTY_WINDOW, member)
        scan.times.append(WindowTime(member, None, None))
        return
    first, last, in_range, positive, is_sorted = window_facts(events, *sensor)
    if not in_range:
        scan.note(Defect.EMPTY_WINDOW, member)
    else:
        if positive in (0, in_range):
            scan.note(Defect.SINGLE_POLARITY, member)
        if is_sorted and events["t"][first] == events["t"][last]:
            scan.note(Defect.SINGLE_TIMESTAMP, member)
    t = events["t"]
    if is_sorted:
        scan.times.append(WindowTime(member, int(t[0]), int(t[-1])))
    else:
        scan.note(Defect.UNSORTED_TIME, member)
        scan.times.append(WindowTime(member, int(t.min()), int(t.max())))


def _scan_labels(shard: NpzFile, k: int, rules: LabelRules, scan: ShardScan) -> None:
    member = f"l{k}"
    try:
        labels = read_labels(shard, k)
    except ShardError as error:
        scan.note(error.defect, member)
        return
    known = len(CLASS_NAMES)
    scan.labels += np.bincount(labels["class_id"], minlength=known)[:known]
    kept = apply_label_rules(labels, rules)
    scan.kept += np.bincount(kept.classes, minlength=known)
    for defect, count in label_defects(labels, rules.sensor).items():
        scan.note(defect, member, count)


def _note_gaps(shards: Sequence[ShardScan]) -> None:
    """Note each window that does not follow the one before it on the clock.

    A window that is there but unreadable or empty is a defect of its own: it is taken to fill its
    50 ms, so that one fault is not counted twice.
    """
    expected = None
    for shard in shards:
        for member, first, _ in shard.times:
            if first is not None:
                index = first // WINDOW_US
                if expected is not None and index != expected:
                    shard.note(Defect.TIME_GAP, member)
                expected = index
            if expected is not None:
                expected += 1


def _recording_entry(
    files: RecordingFiles, sensor: tuple[int, int], shards: Sequence[ShardScan], labels_only: bool
) -> RecordingEntry:
    _note_gaps(shards)
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
    first = [w.first for shard in shards for w in shard.times if w.first is not None]
    last = [w.last for shard in shards for w in shard.times if w.last is not None]
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
        time_us=(min(first), max(last)) if first else None,
        labels=_by_name(sum(shard.labels for shard in shards)),
        kept=_by_name(sum(shard.kept for shard in shards)),
        defects={defect: counts[defect] for defect in Defect if counts[defect]},
        defect_places=tuple(places),
        digest=None if labels_only else recording_digest(entries),
        shards=entries,
    )


def _by_name(counts: np.ndarray | int) -> dict[str, int]:
    return dict(zip(CLASS_NAMES, (int(n) for n in np.atleast_1d(counts)), strict=True))
