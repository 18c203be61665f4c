"""Statistics from a manifest: sums and counts, without what only the windows themselves tell."""

from pipeline.release.shards import SPLITS
from pipeline.selection.entries import RecordingEntry
from pipeline.selection.manifest import Manifest
from pipeline.statistics.label_checks import collect_label_checks
from pipeline.statistics.motion import motion_of_manifest
from pipeline.statistics.published import EVERY_BOX, KEPT, beside_published, is_released
from pipeline.statistics.sampled_events import collect_from_events
from pipeline.statistics.schema import (
    DefectStatistics,
    RecordingStatistics,
    Source,
    SplitStatistics,
    Statistics,
    StorageStatistics,
)
from pipeline.statistics.summaries import hours
from pipeline.text import printable


def collect_from_manifest(manifest: Manifest) -> Statistics:
    """Statistics of the recordings that ``manifest`` lists.

    Raises:
        DataError: a folder, a pipe or a device is in the place of a file.
        OSError: the machine fails to read a file.
    """
    rows = manifest.recordings
    shards = [shard for row in rows for shard in row.shards]
    splits = {split: _split(manifest, split) for split in SPLITS}
    hot_spots, presets = collect_from_events(manifest)
    return Statistics(
        source=Source(
            kind="manifest",
            name=printable(manifest.root.name),
            digest=manifest.digest,
            labels_only=manifest.labels_only,
            subset=None if manifest.subset is None else manifest.subset.content(),
            class_map=manifest.class_map.name,
        ),
        classes=manifest.class_map.classes,
        splits=splits,
        recordings=tuple(_recording(row) for row in rows),
        defects={
            defect.value: DefectStatistics(
                count=count,
                recordings=sum(defect in row.defects for row in rows),
                windows_left_out=None,
            )
            for defect, count in manifest.totals.defects.items()
        },
        storage=StorageStatistics(
            events=sum(shard.event_bytes or 0 for shard in shards),
            labels=sum(shard.label_bytes or 0 for shard in shards),
            arrays_stored=None,
            arrays_decoded=None,
        ),
        label_checks=collect_label_checks(rows, manifest.class_map.classes),
        hot_spots=hot_spots,
        presets=presets,
        published=beside_published(
            {
                EVERY_BOX: {split: row.labels for split, row in splits.items()},
                KEPT: {split: row.kept for split, row in splits.items()},
            }
        )
        if is_released(manifest.class_map.classes)
        else None,
        motion=motion_of_manifest(rows),
    )


def _split(manifest: Manifest, split: str) -> SplitStatistics:
    rows = manifest.split(split)
    windows = sum(row.windows for row in rows)
    names = manifest.class_map.classes
    return SplitStatistics(
        recordings=len(rows),
        windows=windows,
        hours=hours(windows),
        events=None if manifest.labels_only else sum(row.events or 0 for row in rows),
        labels={name: sum(row.labels[name] for row in rows) for name in names},
        kept={name: sum(row.kept[name] for row in rows) for name in names},
        labelled_windows=None,
        source_bytes=sum(row.bytes for row in rows),
        cache_bytes=None,
    )


def _recording(row: RecordingEntry) -> RecordingStatistics:
    return RecordingStatistics(
        id=row.id,
        split=row.split,
        sensor=row.sensor,
        windows=row.windows,
        left_out=None,
        repeated=None,
        sequences=None,
        gaps=row.gaps,
        events=row.events,
        events_per_window=None,
        positive_share=None,
        labels=dict(row.labels),
        kept=dict(row.kept),
        defects={defect.value: count for defect, count in row.defects.items()},
        source_bytes=row.bytes,
        cache_bytes=None,
    )
