"""What the tests of training share: short runs, and a look at what they wrote."""

import json
import math
import os
import signal
from pathlib import Path

import numpy as np
import torch

from dmanet.runs.log import StepReport
from dmanet.training.watcher import TrainingWatcher
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import WINDOW_US, walk_release, write_shard
from pipeline.voxelizing.run import voxelize
from tests.dmanet.caches import CLASSES, GRID
from tests.pipeline.releases import random_events, random_labels

CPU = torch.device("cpu")
TRAIN_A = "train/trainfilelist00/a"
TRAIN_B = "train/trainfilelist00/b"
VAL_A = "val/valfilelist00/a"


def lines(run_dir: Path, name: str = "metrics.jsonl") -> list[dict]:
    """The lines of a run's file. NaN and Infinity, which JSON does not know, are refused."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in {name}")

    text = (run_dir / name).read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def losses(run_dir: Path) -> list[float]:
    """The loss of every step."""
    return [line["loss"] for line in lines(run_dir)]


class StopAt(TrainingWatcher):
    """Asks to stop after a step, and remembers what it was told."""

    def __init__(self, step: int = math.inf) -> None:
        self.step = step
        self.notes: list[str] = []
        self.made = -1

    def stepped(self, report: StepReport, total_steps: int) -> None:
        self.made = report.step

    def noted(self, sentence: str) -> None:
        self.notes.append(sentence)

    def should_stop(self) -> bool:
        return self.made >= self.step


class DieAt(TrainingWatcher):
    """Kills its own process after a step, without any warning."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, report: StepReport, total_steps: int) -> None:
        if report.step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def make_cache_of(folder: Path, recordings: tuple[str, ...]) -> PillarCache:
    """A cache of ten windows in each recording; one that is there already gets those it lacks."""
    root, cache = folder / "release", folder / "cache"
    for number, recording_id in enumerate(recordings):
        rng = np.random.default_rng(number)
        starts = [(10 + k) * WINDOW_US for k in range(10)]
        events = [random_events(rng, start, 300) for start in starts]
        labels = [random_labels(rng, start, 4) for start in starts]
        write_shard(root, recording_id, 1, events, labels)
    settings = CacheSettings(preset="release", grid=GRID, max_points=3, classes=CLASSES)
    voxelize(walk_release(root), lambda key: (1280, 720), cache, settings)
    return PillarCache(cache)
