"""A release on disk → its manifest: what every recording holds, and what is wrong with it.

A damaged shard is recorded and never stops the scan. What an earlier scan read of files that have not
changed since may be taken over (:mod:`pipeline.selection.scan_record`).
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from pipeline.defects import Defect
from pipeline.errors import UsageError
from pipeline.release.classes import ClassMap
from pipeline.release.gaps import Clock
from pipeline.release.labels import LabelRules
from pipeline.release.sensors import read_release
from pipeline.release.shards import RecordingFiles, walk_release
from pipeline.selection.box_scan import BoxScan
from pipeline.selection.entries import LabelCheckEntry, RecordingEntry, ShardEntry, recording_digest
from pipeline.selection.listed_sizes import ListedSizes
from pipeline.selection.manifest import Manifest
from pipeline.selection.scan_record import KeptRecording, KeptShard, ScanRecord, stamps_of
from pipeline.selection.shard_scan import ShardScan, scan_shard
from pipeline.tasks.outcomes import counted, result_of
from pipeline.tasks.run import run_tasks

MAX_PLACES = 10  # places listed for each defect of a recording; all are counted
_WORTH_A_PROCESS = 128 << 20  # bytes: read in about two seconds, a process starts in one
_FILE = 16 << 10  # bytes that are read in the time that opening a file and judging its boxes takes

#: Called after each shard with the number of shards done and the number of all.
Progress = Callable[[int, int], None]


def scan_release(
    root: Path,
    *,
    labels_only: bool = False,
    min_diagonal: float | None = None,
    min_side: float | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    sizes: ListedSizes | None = None,
    record: Path | None = None,
) -> Manifest:
    """Scan every recording below ``root``.

    Args:
        root: the release's folder.
        labels_only: read no event file, so that it works when only the small label files are there;
            sizes of event files that are present are still recorded. Times and gaps are those of the
            boxes, as far as they have any.
        min_diagonal: smallest box that counts as kept, sensor pixels (default: as its data set is
            published with).
        min_side: its shortest side, likewise.
        workers: processes that share the recordings, no more than the release is worth.
        progress: is called after each shard.
        sizes: of event files that are not on disk; with ``labels_only``.
        record: a file that keeps what was read of each recording. Recordings whose files have not
            changed since it was written are not read again, also where the scan that wrote it was
            killed.

    Raises:
        UsageError: a folder without recordings, sizes where event files are read, or something else
            in the place of ``record``.
        DataError: a file cannot be read, also after several attempts.
    """
    if sizes is not None and not labels_only:
        raise UsageError(
            "sizes of event files can only be given where these are not read; add --labels-only."
        )
    recordings = walk_release(root)
    facts = read_release(root)
    rules = label_rules(facts.class_map, min_diagonal, min_side)
    shards = sum(len(files.shards) for files in recordings)
    rows: dict[str, RecordingEntry] = {}
    with contextlib.ExitStack() as closing:
        kept = None
        if record is not None:
            criteria = {key: value for key, value in asdict(rules).items() if key != "sensor"}
            criteria["class_names"] = facts.class_map.classes
            kept = closing.enter_context(ScanRecord(record, labels_only, criteria))
        jobs = {
            files.id: _Job(
                files,
                replace(rules, sensor=facts.sensor_of(files.id)),
                labels_only,
                kept is not None,
                None if kept is None else kept.known(files.id, facts.sensor_of(files.id)),
                {} if sizes is None else sizes.of(files.id),
            )
            for files in recordings
        }
        outcomes = closing.enter_context(
            contextlib.closing(
                run_tasks(
                    partial(_scan_recording, classes=facts.class_map.classes),
                    jobs,
                    counted(progress, shards),
                    workers=_worthwhile(workers, jobs.values()),
                )
            )
        )
        for outcome in outcomes:
            scanned = result_of(outcome)
            rows[outcome.key] = scanned.entry
            if kept is not None and scanned.kept is not None:
                kept.add(scanned.kept)
        if kept is not None:
            kept.finish([files.id for files in recordings])
    return Manifest(
        root=root.resolve(),
        recordings=tuple(rows[files.id] for files in recordings),
        labels_only=labels_only,
        class_map=facts.class_map,
    )


def label_rules(
    class_map: ClassMap, min_diagonal: float | None = None, min_side: float | None = None
) -> LabelRules:
    """The rules a data set is published with, or others for the size of its boxes; sensor pixels."""
    return LabelRules(
        min_diagonal=class_map.min_diagonal if min_diagonal is None else min_diagonal,
        min_side=class_map.min_side if min_side is None else min_side,
        classes=tuple(range(len(class_map.classes))),
        known=len(class_map.classes),
    )


@dataclass(frozen=True)
class _Job:
    """A recording to scan.

    Attributes:
        files: Its files.
        rules: For its boxes, with its own sensor.
        labels_only: Read no event file.
        keeps: What is read of it is to be kept.
        earlier: What is known of it.
        event_bytes: Sizes of event files that are not on disk, by shard number.
    """

    files: RecordingFiles
    rules: LabelRules
    labels_only: bool
    keeps: bool = False
    earlier: KeptRecording | None = None
    event_bytes: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Scanned:
    """A recording's row, and what is to be kept of its shards; ``None`` where nothing has changed."""

    entry: RecordingEntry
    kept: KeptRecording | None


def _worthwhile(workers: int, jobs: Iterable[_Job]) -> int:
    """How many of ``workers`` processes have enough to read."""
    total = 0
    for job in jobs:
        for shard in () if job.earlier is not None else job.files.shards:
            for path in (shard.labels, None if job.labels_only else shard.events):
                if path is not None:
                    total += _FILE
                    with contextlib.suppress(OSError):  # the scan itself meets it, and tries again
                        total += os.stat(path).st_size
    return max(1, min(workers, total // _WORTH_A_PROCESS))


def _scan_recording(job: _Job, tick: Callable[[int], None], *, classes: Sequence[str]) -> _Scanned:
    record = None
    known = job.earlier
    stamps = [stamps_of(files) for files in job.files.shards] if job.keeps else []
    if known is not None and known.is_of(job.files.shards, stamps):
        shards, checks = [kept.scan for kept in known.shards], known.checks
        tick(len(shards))
    else:
        shards, checks = _read_shards(job, classes, tick)
        if job.keeps:
            kept = tuple(map(KeptShard, stamps, shards))
            record = KeptRecording(job.files.id, job.rules.sensor, kept, checks)
    entry = replace(_recording_entry(job, shards, classes), label_checks=checks)
    return _Scanned(entry, record)


def _read_shards(
    job: _Job, classes: Sequence[str], tick: Callable[[int], None]
) -> tuple[list[ShardScan], LabelCheckEntry]:
    clock = Clock()
    checks = BoxScan(job.rules.sensor, classes, labels_only=job.labels_only)
    shards = []
    for files in job.files.shards:
        shards.append(scan_shard(files, job.rules, clock, checks, labels_only=job.labels_only))
        tick(1)
    return shards, checks.entry()


def _recording_entry(
    job: _Job, shards: Sequence[ShardScan], classes: Sequence[str]
) -> RecordingEntry:
    entries = tuple(
        ShardEntry(
            shard.number,
            job.event_bytes.get(shard.number)
            if shard.sizes["events"] is None
            else shard.sizes["events"],
            shard.sizes["labels"],
            shard.members["labels" if job.labels_only else "events"],
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
        id=job.files.id,
        sensor=job.rules.sensor,
        bytes=sum((e.event_bytes or 0) + (e.label_bytes or 0) for e in entries),
        windows=sum(e.windows for e in entries),
        events=None if job.labels_only else sum(shard.events for shard in shards),
        time_us=(min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None,
        labels=_by_name(classes, [shard.labels for shard in shards]),
        kept=_by_name(classes, [shard.kept for shard in shards]),
        defects={defect: counts[defect] for defect in Defect if counts[defect]},
        defect_places=tuple(places),
        digest=None if job.labels_only else recording_digest(entries),
        shards=entries,
    )


def _by_name(classes: Sequence[str], counts: Sequence[tuple[int, ...]]) -> dict[str, int]:
    return dict(zip(classes, map(sum, zip(*counts, strict=True)), strict=True))
