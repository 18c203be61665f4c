"""Known faults, planted into a simulated release at places that are remembered."""

import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.defects import Defect
from pipeline.errors import UsageError
from pipeline.files import written_whole
from pipeline.release.shards import LABEL_DTYPE, WINDOW_US, WINDOWS_PER_SHARD, shard_path

Shard = tuple[str, int]  # recording id, shard number
_LAST = WINDOWS_PER_SHARD - 1
_CENTRAL_ENTRY, _CENTRAL_CRC = b"PK\x01\x02", 16  # zip central directory: signature, CRC's offset


@dataclass(frozen=True)
class PlantedDefect:
    """One fault and where it is.

    ``window`` is the number of the member (``e3`` or ``l3``: 3), None where the whole file is
    concerned; ``detail`` says in words what was done.
    """

    defect: Defect
    recording: str
    shard: int
    window: int | None
    detail: str

    def __str__(self) -> str:
        window = "" if self.window is None else f", window {self.window}"
        return f"{self.defect}: {self.recording}, shard {self.shard}{window} ({self.detail})"


@dataclass(frozen=True)
class DefectPlan:
    """Where a fault is to be; ``variant`` counts the times it is planted."""

    defect: Defect
    shard: Shard
    window: int
    variant: int = 0


def plan_defects(
    shards: Sequence[Shard], defects: Sequence[Defect], rng: np.random.Generator
) -> list[DefectPlan]:
    """A place for each fault (two for ``unreadable-file``: truncated, and not npz).

    Each fault gets a shard of its own as long as there are enough; then faults of one window share
    shards, never windows. A time gap takes two neighbouring shards. Raises :class:`UsageError`
    when there are too few.
    """
    places = _Places([shards[i] for i in rng.permutation(len(shards))], rng)
    plan = []
    if Defect.TIME_GAP in defects:  # first, as it is the hardest to place
        plan.append(DefectPlan(Defect.TIME_GAP, places.pair(), int(rng.integers(1, _LAST + 1))))
    for defect, edits in _FILE_EDITS.items():
        for variant in range(len(edits) if defect in defects else 0):
            window = int(rng.integers(_LAST + 1))
            plan.append(DefectPlan(defect, places.whole(), window, variant))
    for defect in (*_EVENT_EDITS, *_LABEL_EDITS):  # last, as they can share a shard
        if defect in defects:
            plan.append(DefectPlan(defect, *places.window()))
    return plan


def plant_defects(
    root: Path, plan: Sequence[DefectPlan], sensor: tuple[int, int]
) -> list[PlantedDefect]:
    """Carry out the plan on the release at ``root``; ``sensor`` is (width, height) in pixels."""
    planted = []
    for item in plan:
        window: int | None = item.window
        if item.defect is Defect.TIME_GAP:
            detail = _plant_gap(root, item.shard, item.window)
        elif item.defect in _FILE_EDITS:
            edit = _FILE_EDITS[item.defect][item.variant]
            window, detail = edit(root, item.shard, item.window)
        else:
            detail = _plant_in_window(root, item.shard, item.window, item.defect, sensor)
        planted.append(PlantedDefect(item.defect, *item.shard, window, detail))
    return planted


class _Places:
    """Hands out shards and windows, in a random order, none twice."""

    def __init__(self, shards: list[Shard], rng: np.random.Generator) -> None:
        self._free = shards
        self._total = len(shards)
        self._shared: dict[Shard, list[int]] = {}  # windows left in shards with window faults
        self._rng = rng

    def whole(self) -> Shard:
        if not self._free:
            raise self._too_few("")
        return self._free.pop()

    def pair(self) -> Shard:
        """The first of two free neighbours in one recording."""
        for name, number in reversed(self._free):
            if (name, number + 1) in self._free:
                self._free.remove((name, number))
                self._free.remove((name, number + 1))
                return name, number
        raise self._too_few(", two of them neighbours in one recording for a time gap")

    def window(self) -> tuple[Shard, int]:
        if self._free:
            shard = self._free.pop()
            self._shared[shard] = self._rng.permutation(WINDOWS_PER_SHARD).tolist()
        else:
            shard = max(self._shared, key=lambda s: len(self._shared[s]), default=("", 0))
            if not self._shared.get(shard):
                raise self._too_few("")
        return shard, self._shared[shard].pop()

    def _too_few(self, more: str) -> UsageError:
        return UsageError(
            f"The {self._total} shards simulated cannot hold all these defects{more}; "
            "ask for more recordings, longer ones, or fewer defects."
        )


def _write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    # Not durable by itself: it is part of a release that is brought to the disk as a whole.
    with written_whole(path, durable=False) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


# Faults of whole files: edit(root, shard, random window) -> window concerned, what was done.


def _break_crc(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    with zipfile.ZipFile(path) as archive:
        data = bytearray(path.read_bytes())
        entry = archive.start_dir
        for info in archive.infolist():
            if info.filename == f"e{window}.npy":
                break
            entry = data.index(_CENTRAL_ENTRY, entry + 4)
    data[entry + _CENTRAL_CRC] ^= 0xFF
    path.write_bytes(data)
    return window, f"CRC-32 of member e{window} does not match its data"


def _truncate(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    os.truncate(path, path.stat().st_size * 3 // 5)
    return None, "event file truncated to three fifths"


def _replace_by_text(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    path.write_text("<html><body>404 Not Found</body></html>\n", encoding="ascii")
    return None, "event file replaced by an HTML page, as a failed download leaves it"


def _remove_events(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    shard_path(root, *shard, "events").unlink()
    return None, "event file removed"


def _remove_labels(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    shard_path(root, *shard, "labels").unlink()
    return None, "label file removed"


def _remove_member(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    arrays = _read_npz(path)
    del arrays[f"e{window}"]
    _write_npz(path, arrays)
    return window, f"member e{window} removed"


def _to_floats(root: Path, shard: Shard, window: int) -> tuple[int | None, str]:
    path = shard_path(root, *shard, "events")
    arrays = _read_npz(path)
    events = arrays[f"e{window}"]
    arrays[f"e{window}"] = np.stack([events[n].astype(np.float64) for n in "txyp"], axis=1)
    _write_npz(path, arrays)
    return window, f"member e{window} written as floats"


def _plant_gap(root: Path, shard: Shard, first: int) -> str:
    """Leave the ten windows before ``first`` out of two shards; the first shard's number remains."""
    name, number = shard
    for kind in ("events", "labels"):
        here, there = shard_path(root, name, number, kind), shard_path(root, name, number + 1, kind)
        arrays, following = _read_npz(here), _read_npz(there)
        for k in range(first, WINDOWS_PER_SHARD):
            arrays[f"{kind[0]}{k}"] = following[f"{kind[0]}{k}"]
        _write_npz(here, arrays)
        there.unlink()
    return f"{WINDOWS_PER_SHARD} windows left out before this one; the next shard is gone"


_FILE_EDITS: dict[Defect, tuple[Callable[[Path, Shard, int], tuple[int | None, str]], ...]] = {
    Defect.BAD_CRC: (_break_crc,),
    Defect.UNREADABLE_FILE: (_truncate, _replace_by_text),
    Defect.MISSING_EVENT_FILE: (_remove_events,),
    Defect.MISSING_LABEL_FILE: (_remove_labels,),
    Defect.MISSING_MEMBER: (_remove_member,),
    Defect.WRONG_DTYPE: (_to_floats,),
}


# Faults of one window: edit(events) or edit(labels, time in µs, sensor), in place or a new array.


def _bad_polarity(events: np.ndarray) -> np.ndarray:
    events["p"][:: max(1, len(events) // 20)] = 2
    return events


def _unsorted(events: np.ndarray) -> np.ndarray:
    events["t"] = np.roll(events["t"], len(events) // 2)
    return events


def _single_timestamp(events: np.ndarray) -> np.ndarray:
    events["t"] = events["t"][0]
    return events


def _single_polarity(events: np.ndarray) -> np.ndarray:
    events["p"] = 1
    return events


_EVENT_EDITS: dict[Defect, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    Defect.BAD_POLARITY: (_bad_polarity, "some events have polarity 2"),
    Defect.UNSORTED_TIME: (_unsorted, "the first and second half of the times exchanged"),
    Defect.EMPTY_WINDOW: (lambda events: events[:0], "no event left"),
    Defect.SINGLE_TIMESTAMP: (_single_timestamp, "all events at one time"),
    Defect.SINGLE_POLARITY: (_single_polarity, "all events positive"),
}


def _add_boxes(
    labels: np.ndarray, t: int, boxes: Sequence[tuple[float, float, float, float]], class_id: int
) -> np.ndarray:
    added = np.zeros(len(boxes), LABEL_DTYPE)
    for row, box in zip(added, boxes, strict=True):
        row["x"], row["y"], row["w"], row["h"] = box
    added["t"], added["class_id"], added["class_confidence"] = t, class_id, 1.0
    added["track_id"] = np.arange(len(added)) + 1 + labels["track_id"].max(initial=0)
    return np.concatenate([labels, added])


def _plant_boxes(
    labels: np.ndarray, t: int, sensor: tuple[int, int], defect: Defect
) -> tuple[np.ndarray, str]:
    width, height = sensor
    w, h = 0.2 * width, 0.2 * height
    if defect is Defect.BOX_OUT_OF_FRAME:
        return _add_boxes(labels, t, [(-0.4 * w, h, w, h)], 2), "a box beyond the left border added"
    if defect is Defect.BOX_TOO_WIDE:
        return _add_boxes(labels, t, [(0, h, width + 40, h)], 2), "a box wider than the frame added"
    if defect is Defect.BOX_NOT_FINITE:
        return _add_boxes(labels, t, [(np.nan, h, w, h)], 2), "a box with x = NaN added"
    if defect is Defect.WRONG_CLASS:
        return _add_boxes(labels, t, [(w, h, w, h)], 7), "a box of class 7 added"
    grid = [(k % 10 * width / 12, k // 10 * height / 12, w, h) for k in range(70)]
    return _add_boxes(labels, t, grid, 2), "70 boxes added"


_LABEL_EDITS = (
    Defect.BOX_OUT_OF_FRAME,
    Defect.BOX_TOO_WIDE,
    Defect.BOX_NOT_FINITE,
    Defect.WRONG_CLASS,
    Defect.OVER_60_BOXES,
)


def _plant_in_window(
    root: Path, shard: Shard, window: int, defect: Defect, sensor: tuple[int, int]
) -> str:
    kind = "events" if defect in _EVENT_EDITS else "labels"
    path = shard_path(root, *shard, kind)
    arrays = _read_npz(path)
    member = f"{kind[0]}{window}"
    if defect in _EVENT_EDITS:
        edit, detail = _EVENT_EDITS[defect]
        arrays[member] = edit(arrays[member])
    else:
        t = (shard[1] * WINDOWS_PER_SHARD + window) * WINDOW_US + WINDOW_US // 2
        arrays[member], detail = _plant_boxes(arrays[member], t, sensor, defect)
    _write_npz(path, arrays)
    return detail
