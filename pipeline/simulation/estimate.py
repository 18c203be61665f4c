"""What a simulation will take of the disk and of memory, before it takes any."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.release.shards import WINDOWS_PER_SHARD
from pipeline.simulation.settings import SimulationSettings
from pipeline.text import size

# Measured on sensors from 64×48 to 2560×1440 with 100 to 500 000 events a window, and rounded up.
_DISK_PER_EVENT, _DISK_PER_OBJECT, _DISK_PER_WINDOW = 5.5, 40, 1_000  # bytes, deflated
_MEMORY, _MEMORY_PER_PIXEL, _MEMORY_PER_EVENT = 220_000_000, 60, 20  # bytes; events of a shard


@dataclass(frozen=True)
class Estimate:
    """Bytes of the release on disk, and of memory for all processes together."""

    disk: int
    memory: int


def estimate(settings: SimulationSettings, processes: int = 1) -> Estimate:
    """What the simulation will take, rather too much than too little.

    Args:
        settings: what is to be simulated.
        processes: share the recordings.
    """
    recordings = sum(settings.recordings.values())
    windows = recordings * settings.shards * WINDOWS_PER_SHARD
    window = (
        _DISK_PER_EVENT * settings.rate + _DISK_PER_OBJECT * settings.objects + _DISK_PER_WINDOW
    )
    width, height = settings.sensor
    memory = (
        _MEMORY
        + _MEMORY_PER_PIXEL * width * height
        + _MEMORY_PER_EVENT * settings.rate * WINDOWS_PER_SHARD
    )
    return Estimate(int(windows * window), memory * min(processes, recordings))


def require_room(settings: SimulationSettings, root: Path, processes: int = 1) -> Estimate:
    """The estimate, if this machine has as much.

    Args:
        settings: what is to be simulated.
        root: where the release will be; it need not be there.
        processes: share the recordings.

    Raises:
        UsageError: the disk has less free, or the machine less memory.
    """
    needed = estimate(settings, processes)
    folder = Path(os.path.realpath(root))
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed.disk > free:
        raise UsageError(
            f"{root}: this release would take about {size(needed.disk)}, and its disk has "
            f"{size(free)} free; ask for fewer or shorter recordings, or a lower rate."
        )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed.memory > memory:
        raise UsageError(
            f"{root}: this simulation would take about {size(needed.memory)} of memory, and the "
            f"machine has {size(memory)}; ask for a smaller sensor, or fewer workers."
        )
    return needed
