"""Checking a pillar cache against its sources: a sample of windows is voxelized again and compared.

Digests show that the cache holds what was written; this shows that what was written is what the
sources and the kernels give.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.cache import records as layout
from pipeline.cache.attributes import SourceFile
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.cache.verify import Finding
from pipeline.defects import Defect, EventFacts
from pipeline.errors import PipelineError, UsageError
from pipeline.files.digest import file_digest
from pipeline.pillars.event_facts import packed_event_facts
from pipeline.pillars.packing import PackedWindow, Workspace, pack_window
from pipeline.release.label_checks import LabelChecks
from pipeline.release.labels import LabelRules, apply_label_rules
from pipeline.release.members import read_events, read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.shards import shard_path


@dataclass(frozen=True)
class DeepReport:
    """What a comparison with the sources gave.

    Attributes:
        findings: what is not as the sources give it.
        windows: that were compared.
        without_sources: recordings none of whose files are there.
    """

    findings: list[Finding]
    windows: int
    without_sources: tuple[str, ...]


def verify_against_sources(
    cache: PillarCache,
    root: Path,
    *,
    windows: int = 64,
    seed: int = 0,
    on_window: Callable[[], object] = lambda: None,
) -> DeepReport:
    """Voxelize a sample of ``windows`` again from the release at ``root`` and compare.

    Args:
        cache: to be checked.
        root: folder of the release.
        windows: size of the sample, drawn evenly from all windows whose source files are there;
            fewer are compared where there are fewer.
        seed: the same seed draws the same sample.
        on_window: called before each window.

    Raises:
        UsageError: ``root`` holds none of the source files.
    """
    candidates = [
        _comparable(CachedRecording(cache, recording_id), root)
        for recording_id in cache.recording_ids
    ]
    bounds = np.cumsum([0, *map(len, candidates)])
    if not bounds[-1]:
        raise UsageError(
            f"{root}: holds none of the files that {cache.location} was made from; give the "
            "release's folder, or verify without the comparison."
        )
    chosen = np.random.default_rng(seed).choice(
        bounds[-1], min(windows, int(bounds[-1])), replace=False
    )
    findings = []
    for k, recording_id in enumerate(cache.recording_ids):
        here = np.sort(chosen[(chosen >= bounds[k]) & (chosen < bounds[k + 1])]) - bounds[k]
        if len(here):
            compared = _compare(cache, recording_id, root, candidates[k][here], on_window)
            findings += [Finding(recording_id, message) for message in compared]
    without = tuple(
        key for key, rows in zip(cache.recording_ids, candidates, strict=True) if not len(rows)
    )
    return DeepReport(findings, len(chosen), without)


def _comparable(recording: CachedRecording, root: Path) -> np.ndarray:
    """Windows whose event and label files are below ``root``: int64 ``[n, 5]``.

    Columns: the window, shard and member of its labels, shard and member of its events.
    """
    numbers: dict[str, list[int]] = {"ev": [], "lb": []}
    for file in recording.attributes["source"]["files"]:
        name = file["name"]
        if _is_there(_source_path(root, recording.id, name)):
            numbers[name[:2]].append(_number(name))
    origin = recording.table("windows")[:, :2]  # shard, member
    rows = np.arange(len(recording))
    # A repeated window holds the events of the window before it.
    source = np.maximum.accumulate(np.where(recording.window_column("repeated"), 0, rows))
    there = np.isin(origin[:, 0], numbers["lb"]) & np.isin(origin[source, 0], numbers["ev"])
    return np.column_stack([rows, origin, origin[source]])[there]


def _is_there(path: Path) -> bool:
    """Whether a file is there; that the machine will not say is an error, and no missing file."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _number(file_name: str) -> int:
    return int(file_name[2:].removesuffix(".npz"))


def _source_path(root: Path, recording_id: str, name: str) -> Path:
    kind = "events" if name.startswith("ev") else "labels"
    return shard_path(root, recording_id, _number(name), kind).with_name(name)


class _Sources:
    """Source files of one recording, held to the digests the cache names; one of each kind open."""

    def __init__(self, recording: CachedRecording, root: Path) -> None:
        self._recording, self._root = recording, root
        self._expected = {
            (file["name"][:2], _number(file["name"])): file
            for file in recording.attributes["source"]["files"]
        }
        self._open: dict[str, tuple[int, NpzFile | None]] = {}
        self.problems: list[str] = []

    def file(self, prefix: str, number: int) -> NpzFile | None:
        """The file; ``None`` when it is another one than the cache was made from."""
        if self._open.get(prefix, (None,))[0] != number:
            self._open[prefix] = number, self._checked(self._expected[prefix, number])
        return self._open[prefix][1]

    def _checked(self, expected: SourceFile) -> NpzFile | None:
        path = _source_path(self._root, self._recording.id, expected["name"])
        digest = file_digest(path)
        if digest == expected["sha256"]:
            return NpzFile(path)
        self.problems.append(
            f"its source {path} has the sha256 {digest[:12]}…, the cache was made from "
            f"{expected['sha256'][:12]}…"
        )
        return None


def _compare(
    cache: PillarCache,
    recording_id: str,
    root: Path,
    sample: np.ndarray,
    on_window: Callable[[], object],
) -> Iterator[str]:
    recording = CachedRecording(cache, recording_id)
    rules = cache.settings.label_rules(recording.sensor)
    sources = _Sources(recording, root)
    workspace = Workspace(recording.encoding)
    for row, shard, member, event_shard, event_member in sample.tolist():
        on_window()
        event_file, label_file = sources.file("ev", event_shard), sources.file("lb", shard)
        if event_file is None or label_file is None:
            continue
        try:
            labels = read_labels(label_file, member)
            events = read_events(event_file, event_member)
            packed = pack_window(events, workspace)
            facts = packed_event_facts(packed, events)
            left_out = _left_out(recording, row, labels, (events, facts), cache.settings)
            differing = [
                *_other_pillars(recording, row, packed),
                *_other_labels(recording, row, labels, rules, left_out),
            ]
        except PipelineError as error:
            yield f"window {row} cannot be compared ({error})"
            continue
        if differing:
            yield (
                f"window {row} (shard {shard:03d}, member {member}) has other "
                f"{', '.join(differing)} than its source gives"
            )
    yield from sources.problems


def _other_pillars(recording: CachedRecording, row: int, packed: PackedWindow) -> Iterator[str]:
    """Names of what differs between a stored window and the same window packed again."""
    stored = recording.read(row, row + 1)
    if not np.array_equal(stored.pillars, np.concatenate(packed.pillars)):
        yield "pillars"
    if not np.array_equal(stored.points, np.concatenate(packed.points)):
        yield "points"
    counts = packed.counts
    facts = {
        "t_first": packed.t_first,
        "span": packed.span,
        "events_read": counts.read,
        "events_in_range": counts.in_range,
        "events_kept": counts.kept,
        "positive_in_range": counts.positive_in_range,
    }
    yield from (name for name, n in facts.items() if recording.window_column(name)[row] != n)


def _left_out(
    recording: CachedRecording,
    row: int,
    labels: np.ndarray,
    content: tuple[np.ndarray, EventFacts],
    settings: CacheSettings,
) -> np.ndarray:
    """Boxes of a window that the setting ``drop`` leaves out, bool ``[M]``.

    What is a jump only all windows before can tell: the cache is believed that a box was one.
    """
    if not settings.drop:
        return np.zeros(len(labels), bool)
    events, facts = (None, None) if recording.window_column("repeated")[row] else content
    begin = int(recording.window_column("t_start")[row])
    faults = LabelChecks(recording.sensor, len(settings.class_names)).judge(
        labels, events, facts, begin
    )
    left_out = faults.any_of(map(Defect, settings.drop))
    if Defect.BOX_JUMP in settings.drop:
        (r0, k0), (_, k1) = recording.table("label_offsets")[row : row + 2]
        kept = recording.table("labels")[k0:k1, 7].astype(int) - r0
        is_kept = np.zeros(len(labels), bool)
        is_kept[kept[(kept >= 0) & (kept < len(labels))]] = True
        left_out |= ~is_kept
    return left_out


def _other_labels(
    recording: CachedRecording,
    row: int,
    labels: np.ndarray,
    rules: LabelRules,
    left_out: np.ndarray,
) -> Iterator[str]:
    """The same for labels: every box as the release has it, and those that are kept."""
    is_guess = recording.window_column("repeated")[row]
    begin = None if is_guess else int(recording.window_column("t_start")[row])
    kept = apply_label_rules(labels, rules, begin).without(left_out)
    (r0, k0), (r1, k1) = recording.table("label_offsets")[row : row + 2]
    raw = recording.table("labels_raw")[r0:r1, 1:]
    expected = np.column_stack([labels[n] for n in layout.RAW_LABEL_COLUMNS[1:]]).astype(float)
    if not np.array_equal(raw, expected, equal_nan=True):
        yield "labels"
    stored = recording.table("labels")[k0:k1, 1:7]
    tracks = labels["track_id"][kept.rows]
    if not np.array_equal(stored, np.column_stack([kept.boxes, kept.classes, tracks])):
        yield "kept labels"
