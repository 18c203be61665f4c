"""A small release whose tracks rest, creep and drive, and what a search by track says of them."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.release.members import read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.sensors import write_sensors
from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE, WINDOW_US, walk_release, write_shard

SENSOR = (640, 360)
RECORDING = "train/trainfilelist00/a"


def write_release(root: Path) -> None:
    rng = np.random.default_rng(0)
    for shard in (1, 2):
        events, labels = [], []
        for k in range(10 * shard, 10 * shard + 10):
            window = np.zeros(500, EVENT_DTYPE)
            window["t"] = np.sort(rng.integers(k * WINDOW_US, (k + 1) * WINDOW_US, 500))
            window["x"], window["y"] = rng.integers(0, 640, 500), rng.integers(0, 360, 500)
            window["p"] = rng.integers(0, 2, 500)
            boxes = np.zeros(4 if k % 3 else 3, LABEL_DTYPE)  # the last is missing now and then
            boxes["t"] = k * WINDOW_US + rng.integers(0, WINDOW_US, len(boxes))
            stops = 6.0 * min(k, 17)  # drives 120 pixels a second, then rests
            places = (30, 40), (stops, 150), (300 + 2.0 * k, 40), (500 - 9.0 * k, 250)
            for row, (x, y) in enumerate(places[: len(boxes)]):
                boxes[row]["x"], boxes[row]["y"] = x, y
            boxes["w"], boxes["h"], boxes["class_confidence"] = 60, 80, 1
            boxes["track_id"], boxes["class_id"] = (
                range(1, len(boxes) + 1),
                (2, 2, 0, 1)[: len(boxes)],
            )
            events.append(window)
            labels.append(boxes)
        write_shard(root, RECORDING, shard, events, labels)
    write_sensors(root, {RECORDING: SENSOR})


def expected_counts(root: Path) -> dict[str, int]:
    """Boxes by motion, track by track in the order of the windows."""
    paths: dict[int, list[tuple[int, float, float]]] = {}
    (recording,) = walk_release(root)
    for shard in recording.shards:
        for k in range(10):
            for box in read_labels(NpzFile(shard.labels), k):
                path = paths.setdefault(int(box["track_id"]), [])
                path.append((int(box["t"]), float(box["x"]), float(box["y"])))
    counts = {"resting": 0, "slow": 0, "moving": 0, "unknown": 0}
    for path in paths.values():
        speeds = [
            math.dist(now[1:], before[1:]) / (now[0] - before[0]) * 1e6
            for before, now in pairwise(path)
        ]
        for speed in (speeds[0], *speeds):
            counts["resting" if speed < 20 else "slow" if speed < 100 else "moving"] += 1
    return counts
