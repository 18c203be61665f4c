"""Batches for the stress runs: simulated traffic, few events, decoded once.

Few events make quiet regions: on average seven of a hundred cells hold a pillar.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.released_formulation import released_matches
from dmanet.data.batches import collate
from dmanet.data.unpacking import decode_batch
from dmanet.detection.losses import LossSettings, Targets
from dmanet.models.pillar_net import Pillars
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import walk_release
from pipeline.simulation.recordings import SimulationSettings, simulate_release
from pipeline.voxelizing.run import voxelize

SENSOR = (256, 144)
STEPS = 10  # the release's shard


@dataclass(frozen=True)
class StressBatch:
    """T consecutive windows of B sequences on the device, and what each anchor is trained with."""

    positive: Pillars
    negative: Pillars
    targets: Targets
    match: Tensor  # [T * B, A], see released_matches


def simulated_cache(folder: Path, cells: int, recordings: int, seconds: float) -> Path:
    """A cache of preset `release` on ``cells`` x ``cells``, 600 events a window; all seeds fixed."""
    simulation = SimulationSettings(
        seed=1,
        sensor=SENSOR,
        recordings={"train": recordings},
        seconds=seconds,
        rate=600,
        objects=6,
    )
    simulate_release(folder / "release", simulation)
    settings = CacheSettings(preset="release", grid=(cells, cells))
    voxelize(walk_release(folder / "release"), lambda _: SENSOR, folder / "cache", settings)
    return folder / "cache"


def batches_of(cache: Path, anchors: Tensor, sequences: int) -> list[StressBatch]:
    """Every shard of ten windows once, ``sequences`` at a time in a fixed random order."""
    shards = [
        (recording, start)
        for recording in PillarCache(cache).recordings()
        for start in range(0, len(recording) - STEPS + 1, STEPS)
    ]
    order = torch.randperm(len(shards), generator=torch.Generator().manual_seed(0)).tolist()
    batches = []
    for k in range(0, len(order) - sequences + 1, sequences):
        chosen = [shards[place] for place in order[k : k + sequences]]
        packed = collate([recording.read(start, start + STEPS) for recording, start in chosen])
        packed = packed.to(anchors.device)
        positive, negative = decode_batch(packed)
        match = released_matches(anchors, packed.targets, packed.frames, LossSettings())
        batches.append(StressBatch(positive, negative, packed.targets, match))
    return batches


def with_wrong_classes(targets: Targets, share: float, classes: int, seed: int) -> Targets:
    """The same boxes; a ``share`` of them, chosen at random, says another class than the right one."""
    generator = torch.Generator().manual_seed(seed)
    count = len(targets.classes)
    wrong = torch.rand(count, generator=generator) < share
    shift = torch.randint(1, classes, (count,), generator=generator) * wrong
    moved = (targets.classes + shift.to(targets.classes.device)) % classes
    return Targets(targets.boxes, moved, targets.frame)
