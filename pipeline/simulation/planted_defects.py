"""Known faults, planted into a simulated release at places that are remembered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.defects import Defect
from pipeline.errors import UsageError
from pipeline.release.shards import WINDOW_US, WINDOWS_PER_SHARD, shard_path, write_npz
from pipeline.simulation.box_edits import BOX_EDITS
from pipeline.simulation.defect_edits import (
    EVENT_EDITS,
    FILE_EDITS,
    LABEL_EDITS,
    Shard,
    plant_boxes,
    plant_gap,
    read_npz,
)

_LAST = WINDOWS_PER_SHARD - 1


@dataclass(frozen=True)
class PlantedDefect:
    """One fault and where it is.

    Attributes:
        defect: The fault.
        recording: The recording's id.
        shard: The shard's number.
        window: Number of the member (``e3`` or ``l3``: 3); ``None`` where the whole file is concerned.
        detail: Says in words what was done.
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
    """Find a place for each fault (two for ``unreadable-file``: truncated, and not npz).

    Each fault gets a shard of its own as long as there are enough; then faults of one window share
    shards, never windows. A time gap takes two neighbouring shards.

    Raises:
        UsageError: There are too few shards.
    """
    places = _Places([shards[i] for i in rng.permutation(len(shards))], rng)
    plan = []
    if Defect.TIME_GAP in defects:  # first, as it is the hardest to place
        plan.append(DefectPlan(Defect.TIME_GAP, places.pair(), int(rng.integers(1, _LAST + 1))))
    for defect, edits in FILE_EDITS.items():
        for variant in range(len(edits) if defect in defects else 0):
            window = int(rng.integers(_LAST + 1))
            plan.append(DefectPlan(defect, places.whole(), window, variant))
    for defect in (*EVENT_EDITS, *LABEL_EDITS, *BOX_EDITS):  # last, as they can share a shard
        if defect in defects:
            plan.append(DefectPlan(defect, *places.window(first=int(defect is Defect.BOX_JUMP))))
    return plan


def plant_defects(
    root: Path, plan: Sequence[DefectPlan], sensor: tuple[int, int]
) -> list[PlantedDefect]:
    """Carry out the plan on the release at ``root``; ``sensor`` is (width, height) in pixels."""
    planted = []
    for item in plan:
        window: int | None = item.window
        if item.defect is Defect.TIME_GAP:
            detail = plant_gap(root, item.shard, item.window)
        elif item.defect in FILE_EDITS:
            edit = FILE_EDITS[item.defect][item.variant]
            window, detail = edit(root, item.shard, item.window)
        elif item.defect in BOX_EDITS:
            detail = BOX_EDITS[item.defect](root, item.shard, item.window, sensor)
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

    def window(self, first: int = 0) -> tuple[Shard, int]:
        """A window, not before the one numbered ``first`` in its shard."""
        if self._free:
            shard = self._free.pop()
            self._shared[shard] = self._rng.permutation(WINDOWS_PER_SHARD).tolist()
        else:
            shard = max(self._shared, key=lambda s: len(self._shared[s]), default=("", 0))
            if max(self._shared.get(shard, []), default=-1) < first:
                raise self._too_few("")
        left = self._shared[shard]
        return shard, left.pop(max(i for i, window in enumerate(left) if window >= first))

    def _too_few(self, more: str) -> UsageError:
        return UsageError(
            f"The {self._total} shards simulated cannot hold all these defects{more}; "
            "ask for more recordings, longer ones, or fewer defects."
        )


def _plant_in_window(
    root: Path, shard: Shard, window: int, defect: Defect, sensor: tuple[int, int]
) -> str:
    kind = "events" if defect in EVENT_EDITS else "labels"
    path = shard_path(root, *shard, kind)
    arrays = read_npz(path)
    member = f"{kind[0]}{window}"
    if defect in EVENT_EDITS:
        edit, detail = EVENT_EDITS[defect]
        arrays[member] = edit(arrays[member])
    else:
        t = (shard[1] * WINDOWS_PER_SHARD + window) * WINDOW_US + WINDOW_US // 2
        arrays[member], detail = plant_boxes(arrays[member], t, sensor, defect)
    write_npz(path, arrays)
    return detail
