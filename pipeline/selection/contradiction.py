"""What the parts of a manifest say against each other."""

import re
from typing import TYPE_CHECKING

from pipeline.release.motion import MOTIONS
from pipeline.release.shards import SPLITS
from pipeline.selection.entries import ShardEntry, Totals, recording_digest

if TYPE_CHECKING:
    from pipeline.selection.manifest import Manifest

_ID = re.compile(rf"({'|'.join(SPLITS)})/(?!\.)[^/\0]+/(?!\.)[^/\0]+")


def contradiction(
    manifest: "Manifest", shard_columns: tuple[str, ...], totals: Totals
) -> str | None:
    """What no honest writer leaves behind; ids are checked because paths are made from them.

    Args:
        manifest: As read, each field in its range.
        shard_columns: That the file names.
        totals: That it states.

    Returns:
        A part of a sentence; None where nothing contradicts anything.
    """
    if shard_columns != ShardEntry._fields:
        return f"shard_columns are not {', '.join(ShardEntry._fields)}"
    classes = list(manifest.class_map.classes)
    if not _classes_of_subset(manifest) <= set(classes):
        return "the subset was chosen for classes that the class map does not have"
    seen = set()
    for row in manifest.recordings:
        if not _ID.fullmatch(row.id) or row.id in seen:
            return f"recording id {row.id!r:.80} is repeated or is not split/filelist/name"
        seen.add(row.id)
        if list(row.labels) != classes or list(row.kept) != classes:
            return f"label counts of {row.id} do not list the classes {', '.join(classes)}"
        checks = row.label_checks
        for fault, counts in ({} if checks is None else checks.faults).items():
            if list(counts) != classes:
                return f"'{fault}' of {row.id} is not counted by {', '.join(classes)}"
            if sum(counts.values()) != row.defects.get(fault, 0):
                return f"'{fault}' of {row.id} is not the sum over the classes"
        motion = None if checks is None else checks.motion
        if motion is not None and list(motion) != list(MOTIONS):
            return f"the motion of boxes of {row.id} is not counted by {', '.join(MOTIONS)}"
        if motion is not None and sum(motion.values()) != sum(row.labels.values()):
            return f"the motion of boxes of {row.id} is not that of all its boxes"
        numbers = [shard.number for shard in row.shards]
        if numbers != sorted(set(numbers)):
            return f"shards of {row.id} are not in the order of their numbers"
        if row.bytes != sum((s.event_bytes or 0) + (s.label_bytes or 0) for s in row.shards):
            return f"bytes of {row.id} are not the sum over its shards"
        if row.windows != sum(shard.windows for shard in row.shards):
            return f"windows of {row.id} are not the sum over its shards"
        if row.digest is not None and row.digest != recording_digest(row.shards):
            return f"digest of {row.id} is not that of its shards"
    if manifest.totals != totals:
        return "totals are not the sums over the recordings"
    return None


def _classes_of_subset(manifest: "Manifest") -> set[str]:
    subset = manifest.subset
    if subset is None:
        return set()
    drifts = [reached.drift for reached in (subset.reached or {}).values()]
    return {*subset.classes, *(subset.target or {}), *(name for drift in drifts for name in drift)}
