"""Small caches for tests: two sensors, a time gap, and the windows that are easily got wrong."""

from pathlib import Path

import numpy as np

from dmanet.recipes import RunSettings, resolve_settings
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import WINDOW_US, walk_release, write_shard
from pipeline.voxelizing.run import voxelize
from tests.pipeline.releases import random_events, random_labels

GRID = (96, 64)  # width, height: not square, so that swapped axes show
LONG = "train/trainfilelist00/long"  # 30 windows; window 20 follows a gap
SMALL = "train/trainfilelist00/small"  # another sensor, 10 windows
TEST_A = "test/testfilelist00/a"  # 20 windows
TEST_B = "test/testfilelist00/b"
SENSORS = {SMALL: (640, 480)}
CLASSES = (0, 2, 5)
NAMED = ("pedestrian", "car", "traffic sign")  # the same by name


def make_cache(folder: Path, preset: str = "release", time_cells: int = 1) -> PillarCache:
    """A cache of four recordings below ``folder``."""
    root, cache = folder / "release", folder / "cache"
    rng = np.random.default_rng(7)
    for recording_id, shards in (
        (LONG, (1, 2, 5)),
        (SMALL, (3,)),
        (TEST_A, (1, 2)),
        (TEST_B, (4, 6)),
    ):
        for number in shards:
            starts = [(10 * number + k) * WINDOW_US for k in range(10)]
            events = [random_events(rng, start, int(rng.integers(200, 400))) for start in starts]
            labels = [random_labels(rng, start, int(rng.integers(0, 6))) for start in starts]
            if recording_id == LONG and number == 2:
                events[3] = events[3][:0]
                events[4]["p"] = 1
                events[5]["t"] = starts[5]
                labels[6] = labels[6][:0]
            write_shard(root, recording_id, number, events, labels)
    settings = CacheSettings(
        preset=preset, grid=GRID, time_cells=time_cells, max_points=3, classes=CLASSES
    )
    voxelize(walk_release(root), lambda key: SENSORS.get(key, (1280, 720)), cache, settings)
    return PillarCache(cache)


def small_run(*overrides: str) -> RunSettings:
    """Settings of a network that fits these caches and trains in seconds, in float32."""
    return resolve_settings(
        "tiny",
        None,
        (
            "model.grid_size=[64, 96]",
            "model.max_points=3",
            "model.num_classes=3",
            "model.stem_width=8",
            "model.feature_size=8",
            "model.head_convs=1",
            "training.epochs=2",
            "training.steps=3",
            "training.batch_size=2",
            "training.precision=fp32",
            *overrides,
        ),
    )
