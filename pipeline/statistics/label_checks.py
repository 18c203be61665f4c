"""Sums of what a scan found of boxes beside boxes, events and tracks, from a manifest."""

from collections.abc import Sequence

from pipeline.defects import BOX_FAULTS
from pipeline.selection.entries import RecordingEntry
from pipeline.statistics.schema import LabelCheckStatistics, OffsetStatistics


def collect_label_checks(
    rows: Sequence[RecordingEntry], classes: Sequence[str]
) -> LabelCheckStatistics | None:
    """What all recordings gave together; ``None`` where none was looked at."""
    checked = {row.id: row.label_checks for row in rows if row.label_checks is not None}
    if not checked:
        return None
    faults = {
        fault.value: {
            name: sum(one.faults[fault][name] for one in checked.values() if fault in one.faults)
            for name in classes
        }
        for fault in BOX_FAULTS
    }
    return LabelCheckStatistics(
        recordings=len(checked),
        faults={fault: counts for fault, counts in faults.items() if sum(counts.values())},
        by_recording={
            key: {fault.value: dict(counts) for fault, counts in one.faults.items()}
            for key, one in checked.items()
            if one.faults
        },
        offsets={
            key: OffsetStatistics(*one.offset)
            for key, one in checked.items()
            if one.offset is not None
        },
    )
