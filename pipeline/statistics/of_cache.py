"""Statistics from a pillar cache: one pass over its recordings' tables, and a sample of pillars.

Memory holds one recording's tables and a few numbers for each window and box, never all pillars.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.cache.records import ARRAYS, RAW_LABEL_COLUMNS
from pipeline.defects import Defect
from pipeline.release.shards import SPLITS
from pipeline.statistics.anchors import AnchorCollector
from pipeline.statistics.boxes import BoxCollector
from pipeline.statistics.motion import MotionCollector
from pipeline.statistics.pillars import PillarCollector, sample_windows
from pipeline.statistics.published import (
    EVERY_BOX,
    KEPT,
    beside_published,
    counts_by_rule,
    is_released,
)
from pipeline.statistics.schema import (
    DefectStatistics,
    PublishedStatistics,
    RecordingStatistics,
    Source,
    SplitStatistics,
    Statistics,
    StorageStatistics,
)
from pipeline.statistics.summaries import hours, quantiles, tidy
from pipeline.statistics.windows import EventCollector, SequenceCollector
from pipeline.tasks.outcomes import counted, result_of
from pipeline.tasks.run import run_tasks
from pipeline.text import printable


def collect_from_cache(
    cache: PillarCache,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> Statistics:
    """Statistics of every recording published in ``cache``.

    Args:
        cache: the cache.
        progress: is called after each recording with the number done and the number of all.
        workers: processes that share the recordings; the statistics are the same for any number.

    Raises:
        CacheError: an array cannot be read.
    """
    digest = hashlib.sha256(cache.attributes["fingerprint"].encode())
    sizes = {}
    for key in cache.recording_ids:
        recording = CachedRecording(cache, key)
        digest.update(f"{key} {recording.attributes['digest']}\n".encode())
        sizes[key] = len(recording)
    samples = sample_windows(list(sizes.values()))
    tasks = {key: _Job(key, sample) for key, sample in zip(sizes, samples, strict=True)}
    collectors = _Collectors(cache)
    # In the order of the recordings, whichever is ready first.
    waiting = list(tasks)
    ready: dict[str, _Collectors] = {}
    outcomes = run_tasks(
        partial(_collect, cache), tasks, counted(progress, len(tasks)), workers=workers
    )
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            ready[outcome.key] = result_of(outcome)
            while waiting and waiting[0] in ready:
                collectors.merge(ready.pop(waiting.pop(0)))
    class_map = cache.settings.class_map
    source = Source(
        kind="cache",
        name=printable(PurePosixPath(cache.location).name),
        digest=digest.hexdigest(),
        fingerprint=cache.attributes["fingerprint"],
        settings=cache.settings.stored(),
        class_map=None if class_map is None else class_map.name,
    )
    return collectors.statistics(source)


@dataclass(frozen=True)
class _Job:
    """A recording's id, and the numbers of the windows whose pillars are looked at."""

    recording: str
    sample: Sequence[int]


def _collect(cache: PillarCache, job: _Job, tick: Callable[[int], None]) -> "_Collectors":
    """What one recording gives, by a reader of its own, so that its tables are freed after it."""
    collectors = _Collectors(cache)
    collectors.add(
        CachedRecording(cache, job.recording), cache.store.sizes(job.recording), job.sample
    )
    tick(1)
    return collectors


class _Collectors:
    """Everything that one pass over the recordings gathers."""

    def __init__(self, cache: PillarCache) -> None:
        settings = cache.settings
        self._known = settings.class_names
        self._classes = settings.output_names
        self._events = EventCollector()
        self._sequences = SequenceCollector()
        self._pillars = PillarCollector(settings)
        self._boxes = BoxCollector(self._classes, settings.grid)
        self._anchors = AnchorCollector(self._classes, settings.grid)
        self._by_rule: dict[str, dict[str, Counter[str]]] = {}  # boxes by rule, split and class
        self._motion = MotionCollector(len(self._known))
        self._rows: list[RecordingStatistics] = []
        self._left_out: Counter[str] = Counter()
        self._source_bytes: Counter[str] = Counter()
        self._stored: Counter[str] = Counter()
        self._decoded: Counter[str] = Counter()

    def add(
        self, recording: CachedRecording, sizes: Mapping[str, int], sample: Sequence[int]
    ) -> None:
        recording.check_tables()
        self._events.add(recording)
        self._anchors.add(recording)
        self._add_rules(recording)
        self._motion.add(recording)
        self._pillars.add(recording)
        self._pillars.sample(recording, sample)
        sequences = self._sequences.add(recording)
        defects = recording.attributes["defects"]
        left_out = Counter(w["defect"] for w in defects["left_out"] if not w["repeated"])
        self._left_out.update(left_out)
        in_range = recording.window_column("events_in_range")
        positive = recording.window_column("positive_in_range")
        row = RecordingStatistics(
            id=recording.id,
            split=recording.split,
            sensor=recording.sensor,
            windows=len(recording),
            left_out=left_out.total(),
            repeated=int(recording.window_column("repeated").sum()),
            sequences=sequences,
            gaps=defects["counts"].get(Defect.TIME_GAP.value, 0),
            events=int(recording.window_column("events_read").sum()),
            events_per_window=quantiles(in_range),
            positive_share=tidy(positive.sum() / in_range.sum()) if in_range.any() else None,
            labels=_raw_labels(recording, self._known),
            kept=self._boxes.add(recording),
            defects=dict(defects["counts"]),
            source_bytes=self._add_source_bytes(recording),
            cache_bytes=self._add_cache_bytes(recording, sizes),
        )
        self._rows.append(row)

    def _add_rules(self, recording: CachedRecording) -> None:
        if is_released(self._known):
            columns = [RAW_LABEL_COLUMNS.index(name) for name in (*"xywh", "class_id")]
            boxes = recording.table("labels_raw")[:, columns]
            for rule, counts in counts_by_rule(boxes, recording.sensor).items():
                of_split = self._by_rule.setdefault(rule, {split: Counter() for split in SPLITS})
                named = zip(self._known, counts.tolist(), strict=False)
                of_split[recording.split].update(dict(named))

    def _add_source_bytes(self, recording: CachedRecording) -> int:
        sizes: Counter[str] = Counter()
        for file in recording.attributes["source"]["files"]:
            sizes["events" if file["name"].startswith("ev") else "labels"] += file["bytes"]
        self._source_bytes.update(sizes)
        return sizes.total()

    def _add_cache_bytes(self, recording: CachedRecording, sizes: Mapping[str, int]) -> int:
        stored = dict.fromkeys(sorted(ARRAYS), 0)
        for path, size in sizes.items():
            if (name := path.split("/")[0]) in stored:
                stored[name] += size
        self._stored.update(stored)
        self._decoded.update({name: recording.array(name).nbytes for name in stored})
        return sum(stored.values())

    def merge(self, later: "_Collectors") -> None:
        """Add what was gathered from later recordings."""
        self._events.merge(later._events)
        self._sequences.merge(later._sequences)
        self._pillars.merge(later._pillars)
        self._boxes.merge(later._boxes)
        self._anchors.merge(later._anchors)
        for rule, of_split in later._by_rule.items():
            mine = self._by_rule.setdefault(rule, {split: Counter() for split in SPLITS})
            for split, counts in of_split.items():
                mine[split].update(counts)
        self._motion.merge(later._motion)
        self._rows += later._rows
        for ours, theirs in (
            (self._left_out, later._left_out),
            (self._source_bytes, later._source_bytes),
            (self._stored, later._stored),
            (self._decoded, later._decoded),
        ):
            ours.update(theirs)

    def statistics(self, source: Source) -> Statistics:
        splits = {split: self._split(split) for split in SPLITS}
        rates = self._events.rates()
        rows = [replace(row, rates=of) for row, of in zip(self._rows, rates, strict=True)]
        return Statistics(
            source=source,
            classes=self._classes,
            splits=splits,
            recordings=tuple(rows),
            defects=self._defects(),
            storage=StorageStatistics(
                events=self._source_bytes["events"],
                labels=self._source_bytes["labels"],
                arrays_stored=dict(self._stored),
                arrays_decoded=dict(self._decoded),
            ),
            events=self._events.statistics(rates),
            pillars=self._pillars.statistics(),
            boxes=self._boxes.statistics(),
            sequences=self._sequences.statistics(),
            anchors=self._anchors.statistics(),
            hot_spots=self._pillars.hot_spots(),
            published=self._published(splits),
            motion=self._motion.statistics(),
        )

    def _published(self, splits: Mapping[str, SplitStatistics]) -> PublishedStatistics | None:
        if not is_released(self._known):
            return None
        every = {split: row.labels for split, row in splits.items()}
        kept = {split: row.kept for split, row in splits.items()}
        by_rule = {
            rule: {
                split: {name: counts[name] for name in self._known} for split, counts in of.items()
            }
            for rule, of in self._by_rule.items()
        }
        return beside_published({EVERY_BOX: every, KEPT: kept, **by_rule})

    def _split(self, split: str) -> SplitStatistics:
        rows = [row for row in self._rows if row.split == split]
        windows = sum(row.windows for row in rows)
        return SplitStatistics(
            recordings=len(rows),
            windows=windows,
            hours=hours(windows),
            events=sum(row.events or 0 for row in rows),
            labels={name: sum(row.labels[name] for row in rows) for name in self._known},
            kept={name: sum(row.kept[name] for row in rows) for name in self._classes},
            labelled_windows=self._boxes.labelled_windows(split),
            source_bytes=sum(row.source_bytes for row in rows),
            cache_bytes=sum(row.cache_bytes or 0 for row in rows),
        )

    def _defects(self) -> dict[str, DefectStatistics]:
        counts: Counter[str] = Counter()
        recordings: Counter[str] = Counter()
        for row in self._rows:
            counts.update(row.defects)
            recordings.update(row.defects.keys())
        return {
            name: DefectStatistics(counts[name], recordings[name], self._left_out[name])
            for name in sorted(counts)
        }


def _raw_labels(recording: CachedRecording, names: Sequence[str]) -> dict[str, int]:
    """Boxes by class as the release has them, those of unknown classes apart."""
    numbers = recording.table("labels_raw")[:, RAW_LABEL_COLUMNS.index("class_id")].astype(int)
    counts = np.bincount(numbers, minlength=len(names))
    return {name: int(counts[number]) for number, name in enumerate(names)}
