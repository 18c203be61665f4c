"""What differs between two manifests."""

from dataclasses import dataclass

from pipeline.release.shards import SPLITS
from pipeline.selection.drift import class_counts, class_shares, total_variation
from pipeline.selection.entries import RecordingEntry
from pipeline.selection.manifest import Manifest
from pipeline.text import counted, size


@dataclass(frozen=True)
class Difference:
    """How one manifest differs from another.

    Attributes:
        only_first: Recordings that only the first holds.
        only_second: Recordings that only the second holds.
        changed: What differs, by the id of a recording that both hold.
        same: How many recordings are the same in both.
        distance: Total variation between the class shares, by split that either holds; none where the
            two have different classes.
    """

    only_first: tuple[RecordingEntry, ...]
    only_second: tuple[RecordingEntry, ...]
    changed: dict[str, str]
    same: int
    distance: dict[str, float]

    def __bool__(self) -> bool:
        return bool(self.only_first or self.only_second or self.changed)

    def lines(self, first: str, second: str) -> list[str]:
        """The difference as people read it, the manifests by their names."""
        lines = []
        for name, rows in ((first, self.only_first), (second, self.only_second)):
            if rows:
                total = size(sum(row.bytes for row in rows))
                lines.append(f"only in {name}: {counted(len(rows), 'recording')}, {total}")
                lines += [f"  {row.id}" for row in rows]
        if self.changed:
            lines.append(f"differ: {counted(len(self.changed), 'recording')}")
            lines += [f"  {name}: {what}" for name, what in self.changed.items()]
        lines.append(f"the same: {counted(self.same, 'recording')}")
        far = ", ".join(f"{split} {value:.4f}" for split, value in self.distance.items())
        said = f"total variation of the class shares: {far}" if far else "their classes differ"
        lines.append(said)
        return lines


def compare(first: Manifest, second: Manifest) -> Difference:
    """Compare what two manifests say of their recordings; where they lie does not count."""
    rows = [{row.id: row for row in manifest.recordings} for manifest in (first, second)]
    both = [(row, rows[1][row.id]) for row in first.recordings if row.id in rows[1]]
    changed = {one.id: _changes(one, other) for one, other in both if one != other}
    return Difference(
        only_first=tuple(row for row in first.recordings if row.id not in rows[1]),
        only_second=tuple(row for row in second.recordings if row.id not in rows[0]),
        changed=changed,
        same=len(both) - len(changed),
        distance={
            split: _distance(first, second, split)
            for split in SPLITS
            if (first.split(split) or second.split(split))
            and first.class_map.classes == second.class_map.classes
        },
    )


def _changes(one: RecordingEntry, other: RecordingEntry) -> str:
    parts = []
    if one.bytes != other.bytes:
        parts.append(f"{one.bytes} → {other.bytes} bytes")
    boxes = [sum(row.kept.values()) for row in (one, other)]
    if one.kept != other.kept:
        parts.append(f"{boxes[0]} → {boxes[1]} boxes kept")
    files = sum(a != b for a, b in zip(one.shards, other.shards, strict=False))
    files += abs(len(one.shards) - len(other.shards))
    if files:
        parts.append(counted(files, "shard"))
    others = [
        name
        for name in ("sensor", "windows", "events", "time_us", "labels", "defects")
        if getattr(one, name) != getattr(other, name)
    ]
    return ", ".join(parts + others) or "digest"


def _distance(first: Manifest, second: Manifest, split: str) -> float:
    classes = tuple(range(len(first.class_map.classes)))
    shares = [class_shares(class_counts(m, split, classes)) for m in (first, second)]
    return float(total_variation(shares[1], shares[0]))
