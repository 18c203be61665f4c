"""Statistics from a pillar cache: one pass over its recordings' tables, and a sample of pillars.

Memory holds one recording's tables and a few numbers for each window and box, never all pillars.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import zarr

from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.cache.records import RAW_LABEL_COLUMNS
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.shards import SPLITS
from pipeline.statistics.boxes import BoxCollector
from pipeline.statistics.pillars import PillarCollector, sample_windows
from pipeline.statistics.schema import (
    DefectStatistics,
    RecordingStatistics,
    Source,
    SplitStatistics,
    Statistics,
    StorageStatistics,
)
from pipeline.statistics.summaries import hours, quantiles, tidy
from pipeline.statistics.windows import EventCollector, SequenceCollector


def collect_from_cache(
    cache: PillarCache, progress: Callable[[int, int], None] | None = None
) -> Statistics:
    """Statistics of every recording published in ``cache``."""
    collectors = _Collectors(cache)
    digest = hashlib.sha256(cache.attributes["fingerprint"].encode())
    sizes = [len(recording) for recording, _ in _recordings(cache)]
    sample = sample_windows(sizes)
    for done, (recording, group) in enumerate(_recordings(cache)):
        digest.update(f"{recording.id} {recording.attributes['digest']}\n".encode())
        collectors.add(recording, group, sample[done])
        if progress is not None:
            progress(done + 1, len(sizes))
    source = Source(
        kind="cache",
        name=PurePosixPath(cache.location).name,
        digest=digest.hexdigest(),
        fingerprint=cache.attributes["fingerprint"],
        settings=dict(cache.settings),
    )
    return collectors.statistics(source)


def _recordings(cache: PillarCache) -> Iterator[tuple[CachedRecording, zarr.Group]]:
    """Every recording with a reader of its own, so that its tables are freed after it."""
    for key in cache.recording_ids:
        group = cache.group(key)
        yield CachedRecording(cache, key), group


class _Collectors:
    """Everything that one pass over the recordings gathers."""

    def __init__(self, cache: PillarCache) -> None:
        settings = cache.settings
        self._classes = tuple(CLASS_NAMES[number] for number in settings.classes)
        self._events = EventCollector()
        self._sequences = SequenceCollector()
        self._pillars = PillarCollector(settings)
        self._boxes = BoxCollector(self._classes, settings.grid)
        self._rows: list[RecordingStatistics] = []
        self._left_out: Counter[str] = Counter()
        self._source_bytes: Counter[str] = Counter()
        self._stored: Counter[str] = Counter()
        self._decoded: Counter[str] = Counter()

    def add(self, recording: CachedRecording, group: zarr.Group, sample: Sequence[int]) -> None:
        self._events.add(recording)
        self._pillars.add(recording)
        self._pillars.sample(recording, sample)
        sequences, gaps = self._sequences.add(recording)
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
            gaps=gaps,
            events=int(recording.window_column("events_read").sum()),
            events_per_window=quantiles(in_range),
            positive_share=tidy(positive.sum() / in_range.sum()) if in_range.any() else None,
            labels=_raw_labels(recording),
            kept=self._boxes.add(recording),
            defects=dict(defects["counts"]),
            source_bytes=self._add_source_bytes(recording),
            cache_bytes=self._add_cache_bytes(group),
        )
        self._rows.append(row)

    def _add_source_bytes(self, recording: CachedRecording) -> int:
        sizes: Counter[str] = Counter()
        for file in recording.attributes["source"]["files"]:
            sizes["events" if file["name"].startswith("ev") else "labels"] += file["bytes"]
        self._source_bytes.update(sizes)
        return sizes.total()

    def _add_cache_bytes(self, group: zarr.Group) -> int:
        arrays = dict(sorted(group.arrays()))
        stored = {name: int(array.nbytes_stored()) for name, array in arrays.items()}
        self._stored.update(stored)
        self._decoded.update({name: int(array.nbytes) for name, array in arrays.items()})
        return sum(stored.values())

    def statistics(self, source: Source) -> Statistics:
        return Statistics(
            source=source,
            classes=self._classes,
            splits={split: self._split(split) for split in SPLITS},
            recordings=tuple(self._rows),
            defects=self._defects(),
            storage=StorageStatistics(
                events=self._source_bytes["events"],
                labels=self._source_bytes["labels"],
                arrays_stored=dict(self._stored),
                arrays_decoded=dict(self._decoded),
            ),
            events=self._events.statistics(),
            pillars=self._pillars.statistics(),
            boxes=self._boxes.statistics(),
            sequences=self._sequences.statistics(),
        )

    def _split(self, split: str) -> SplitStatistics:
        rows = [row for row in self._rows if row.split == split]
        windows = sum(row.windows for row in rows)
        return SplitStatistics(
            recordings=len(rows),
            windows=windows,
            hours=hours(windows),
            events=sum(row.events or 0 for row in rows),
            labels={name: sum(row.labels[name] for row in rows) for name in CLASS_NAMES},
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


def _raw_labels(recording: CachedRecording) -> dict[str, int]:
    """Boxes by class as the release has them, those of unknown classes apart."""
    numbers = recording.table("labels_raw")[:, RAW_LABEL_COLUMNS.index("class_id")].astype(int)
    counts = np.bincount(numbers, minlength=len(CLASS_NAMES))
    return {name: int(counts[number]) for number, name in enumerate(CLASS_NAMES)}
