"""Runs of `voxelize` on a small release of one recording, and faults planted into it."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache.settings import CacheSettings
from pipeline.defects import Defect
from pipeline.release.shards import shard_path, walk_release
from pipeline.voxelizing.outcome import VoxelizeReport
from pipeline.voxelizing.run import voxelize
from tests.pipeline.releases import damage_member

RECORDING = "train/trainfilelist00/rec_a"
SETTINGS = CacheSettings(grid=(128, 128))


def run(
    root: Path, cache: Path, settings: CacheSettings = SETTINGS, **options: Any
) -> VoxelizeReport:
    return voxelize(walk_release(root), lambda recording: (1280, 720), cache, settings, **options)


def damage(root: Path, defect: Defect) -> None:
    """Plant one fault in shard 2."""
    events = shard_path(root, RECORDING, 2, "events")
    labels = shard_path(root, RECORDING, 2, "labels")
    if defect is Defect.BAD_CRC:
        damage_member(events, "e3")
    elif defect is Defect.MISSING_EVENT_FILE:
        events.unlink()
    elif defect is Defect.MISSING_LABEL_FILE:
        labels.unlink()
    elif defect is Defect.UNREADABLE_FILE:
        events.write_bytes(events.read_bytes()[:1000])
    else:
        with np.load(events) as arrays:
            windows = [arrays[f"e{k}"].copy() for k in range(10)]
        if defect is Defect.BAD_POLARITY:
            windows[3]["p"][5] = 2
        if defect is Defect.MISSING_MEMBER:
            windows = windows[:9]
        if defect is Defect.WRONG_DTYPE:
            np.savez_compressed(events, **{f"e{k}": w["t"] * 0.5 for k, w in enumerate(windows)})
        else:
            np.savez_compressed(events, **{f"e{k}": w for k, w in enumerate(windows)})


FATAL_AND_WINDOWS_LOST = [
    (Defect.BAD_CRC, 1),
    (Defect.BAD_POLARITY, 1),
    (Defect.MISSING_MEMBER, 1),
    (Defect.MISSING_EVENT_FILE, 10),
    (Defect.MISSING_LABEL_FILE, 10),
    (Defect.UNREADABLE_FILE, 10),
    (Defect.WRONG_DTYPE, 10),
]
