"""Known faults, planted into a simulated release at places that are remembered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.defects import Defect


@dataclass(frozen=True)
class PlantedDefect:
    """One fault and where it is; ``window`` is the member's number, None for a whole file."""

    defect: Defect
    recording: str
    shard: int
    window: int | None
    detail: str


def plant_defects(
    root: Path, defects: Sequence[Defect], sensor: tuple[int, int], rng: np.random.Generator
) -> list[PlantedDefect]:
    return []
