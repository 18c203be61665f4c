"""One shard → what it holds and what is wrong with it, from one look at each of its two files.

Every member is inflated and checked against its CRC-32 once. A window has few boxes, so that looking at
those of a whole shard together costs a fraction of looking at them window by window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.defects import Defect, EventFacts
from pipeline.errors import ShardError
from pipeline.pillars.event_facts import event_facts
from pipeline.release.gaps import Clock, WindowTime, has_time, window_time
from pipeline.release.labels import LabelRules, apply_label_rules, label_defects_by_window
from pipeline.release.npz import NpzFile
from pipeline.release.opened import OpenedFile, open_events, open_labels
from pipeline.release.shards import LABEL_DTYPE, WINDOWS_PER_SHARD, ShardFiles
from pipeline.release.windows import read_window, window_defects
from pipeline.selection.box_scan import BoxScan
from pipeline.selection.entries import STRICT, DefectPlace

_NO_BOXES = np.empty(0, LABEL_DTYPE)
_NEVER = np.uint64(2**64 - 1)  # µs; no box has this time
_MEMBERS = {
    kind: {f"{kind[0]}{k}" for k in range(WINDOWS_PER_SHARD)} for kind in ("events", "labels")
}


@dataclass
class ShardScan:
    """What one shard holds.

    Attributes:
        number: The shard's number.
        sizes: Bytes of the two files, by kind (``events``, ``labels``).
        digests: SHA-256 of the two files, by kind.
        members: How many of the ten windows each file has, by kind.
        events: Number of events that can be read.
        span_us: First and last time in µs of those events, inside the sensor or not; of the boxes
            where events are not read.
        labels: Boxes by class number.
        kept: Those the label rules keep.
        found: Each defect's place, and how often it is there.
    """

    __pydantic_config__ = STRICT

    number: int
    sizes: dict[str, int | None] = field(default_factory=dict)
    digests: dict[str, str | None] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)
    events: int = 0
    span_us: tuple[int, int] | None = None
    labels: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    found: list[tuple[DefectPlace, int]] = field(default_factory=list)

    def note(self, defect: Defect, member: str | None, count: int = 1) -> None:
        """Enter a defect; ``member`` is ``None`` where it concerns a whole file."""
        self.found.append((DefectPlace(defect, self.number, member), count))


def scan_shard(
    files: ShardFiles, rules: LabelRules, clock: Clock, checks: BoxScan, *, labels_only: bool
) -> ShardScan:
    """Read one shard's two files; whatever is wrong with them becomes a named defect.

    Args:
        files: The shard's files.
        rules: Decide which boxes count as kept.
        clock: The recording's, which has seen the shards before this one.
        checks: The recording's, likewise.
        labels_only: Read no event file. Of a window's time then only its boxes speak.

    Raises:
        OSError: The machine fails to read a file, which says nothing about the file.
    """
    none = (0,) * rules.known
    scan = ShardScan(files.number, labels=none, kept=none)
    events: NpzFile | None = None
    if not labels_only:
        events = _noted(open_events(files), "events", scan)
    else:
        scan.sizes["events"] = None if files.events is None else files.events.stat().st_size
        scan.digests["events"], scan.members["events"] = None, 0
    labels = _noted(open_labels(files), "labels", scan)
    windows, facts, places, faults = [], [], [], []
    for k in range(WINDOWS_PER_SHARD):
        window = read_window(files.number, k, events, labels)
        facts.append(_add_events(window.events, rules.sensor, scan))
        if not labels_only:
            places.append(clock.place(window_time(facts[-1], _usable(window.labels))))
            faults.append(checks.add(window, facts[-1], places[-1]))
        if isinstance(window.events, np.ndarray):
            window = replace(window, events=None)  # so that one window's are held at a time
        windows.append(window)
    boxes = _Boxes([_usable(window.labels) for window in windows])
    if labels_only:
        places = [clock.place(time) for time in boxes.times()]
        faults = list(map(checks.add, windows, facts, places))
        scan.span_us = boxes.span_us()
    begins = [-1 if f is None else p.begin for f, p in zip(facts, places, strict=True)]
    defects = boxes.judge(np.array(begins), rules, scan)
    for window, of_events, alone, beside in zip(windows, facts, defects, faults, strict=True):
        of_boxes = alone if beside is None else {**alone, **beside.counts()}
        for found in window_defects(window, of_events, of_boxes):
            scan.note(found.defect, found.member, found.count)
    for k, place in enumerate(places):
        if place.is_gap:
            scan.note(Defect.TIME_GAP, f"l{k}" if labels_only else f"e{k}")
    return scan


def _usable(labels: np.ndarray | ShardError | None) -> np.ndarray | None:
    return labels if isinstance(labels, np.ndarray) else None


def _noted(file: OpenedFile, kind: str, scan: ShardScan) -> NpzFile | None:
    """What can be read of a file; a fault of the whole file is one defect, not ten."""
    scan.sizes[kind], scan.digests[kind] = file.size, file.sha256
    scan.members[kind] = 0
    if not isinstance(file.content, NpzFile):
        scan.note(file.content.defect, None)
        return None
    scan.members[kind] = len(_MEMBERS[kind].intersection(file.content.names()))
    return file.content


def _add_events(
    events: np.ndarray | ShardError | None, sensor: tuple[int, int], scan: ShardScan
) -> EventFacts | None:
    """Facts of a window's events; ``None`` where they cannot be used."""
    if not isinstance(events, np.ndarray):
        return None
    facts = event_facts(events, sensor)
    scan.events += len(events)
    if len(events):
        t = events["t"]
        ends = (t[0], t[-1]) if facts.is_sorted else (t.min(), t.max())
        before = scan.span_us or ends
        scan.span_us = min(int(ends[0]), int(before[0])), max(int(ends[1]), int(before[1]))
    return facts


class _Boxes:
    """The boxes of all windows of a shard, looked at together.

    Attributes:
        counts: How many each window has.
        all: One window's after the other.
    """

    def __init__(self, by_window: Sequence[np.ndarray | None]) -> None:
        parts = [_NO_BOXES if boxes is None else boxes for boxes in by_window]
        self.counts = [len(part) for part in parts]
        # Bytes, because numpy takes long to find that records of one type are of one type.
        self.all = np.frombuffer(b"".join([part.tobytes() for part in parts]), LABEL_DTYPE)
        self._has_time = has_time(self.all["t"])

    def times(self) -> list[WindowTime]:
        """What the boxes of each window say of its time, where events are not read."""
        said = np.where(self._has_time, self.all["t"], _NEVER)
        ends = np.cumsum([0, *self.counts])
        filled = [k for k, count in enumerate(self.counts) if count]
        first = np.full(len(self.counts), _NEVER)
        if filled:
            first[filled] = np.minimum.reduceat(said, ends[filled])
        return [WindowTime(None, None if t == _NEVER else t) for t in first.tolist()]

    def span_us(self) -> tuple[int, int] | None:
        """First and last time in µs of those boxes that have one."""
        times = self.all["t"][self._has_time]
        return (int(times.min()), int(times.max())) if len(times) else None

    def judge(
        self, begins: np.ndarray, rules: LabelRules, scan: ShardScan
    ) -> list[dict[Defect, int]]:
        """Count them by class, and the defects of each window's; ``begins`` in µs, -1 if unknown."""
        if not len(self.all):
            return [{} for _ in self.counts]
        known = rules.known
        kept = apply_label_rules(self.all, rules, np.repeat(begins, self.counts))
        scan.labels = tuple(np.bincount(self.all["class_id"], minlength=known)[:known].tolist())
        scan.kept = tuple(np.bincount(kept.classes, minlength=known).tolist())
        return label_defects_by_window(self.all, self.counts, rules.sensor, begins, known)
