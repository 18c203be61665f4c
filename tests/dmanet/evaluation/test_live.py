"""Boxes found straight from a recording are those found in a cache made from it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dmanet.data.samplers import WindowRange
from dmanet.evaluation.live import detect_live
from dmanet.evaluation.streaming import StreamSettings, stream_detections
from dmanet.models.detector import DMANet
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.ingest.convert import ingest_recording
from pipeline.ingest.raw_recording import open_raw
from pipeline.release.shards import SKIP_US, walk_release
from pipeline.voxelizing.live import live_windows
from pipeline.voxelizing.run import voxelize
from tests.dmanet.caches import CLASSES, GRID, small_run
from tests.pipeline.voxelizing.test_live import SENSOR, recorded, write

CPU = StreamSettings(torch.device("cpu"), "fp32")
SUFFIXES = {"release": ".evt3", "paper": ".dat"}


@pytest.fixture(scope="module", params=["release", "paper"])
def both(request, tmp_path_factory) -> tuple[Path, PillarCache]:
    """A recording, and a cache made from it."""
    folder = tmp_path_factory.mktemp(request.param)
    raw = write(folder / f"drive{SUFFIXES[request.param]}", recorded(windows=58))
    settings = CacheSettings(preset=request.param, grid=GRID, max_points=3, classes=CLASSES)
    ingest_recording(raw, folder / "release", "test", skip_us=SKIP_US)
    voxelize(walk_release(folder / "release"), lambda key: SENSOR, folder / "cache", settings)
    return raw, PillarCache(folder / "cache")


@pytest.fixture(scope="module")
def model(lively_model) -> DMANet:
    """A network that finds boxes and whose state matters."""
    made = lively_model(small_run().model)
    with torch.no_grad():
        made.class_head.output.bias += 3
    return made


def found_in(chunks) -> list:
    return [found for chunk in chunks for found in chunk.detections]


def live(both, model, steps: int, **window_range: int) -> list:
    raw, cache = both
    windows = live_windows(
        open_raw(raw), cache.settings, steps=steps, skip_us=SKIP_US, **window_range
    )
    return found_in(detect_live(model, (w.windows for w in windows), CPU, score_threshold=0.1))


def cached(both, model, steps: int, first: int = 0, last: int | None = None) -> list:
    cache = both[1]
    (recording,) = cache.recordings()
    span = WindowRange(recording.id, first, len(recording) if last is None else last)
    stream = replace(CPU, steps=steps)
    return found_in(stream_detections(model, cache, [span], stream, score_threshold=0.1))


def assert_same(found: list, expected: list) -> None:
    assert sum(map(len, expected)) > 20
    for one, other in zip(found, expected, strict=True):
        for name in ("boxes", "scores", "classes"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("steps", [1, 10])
def test_boxes_are_those_of_the_cache_to_the_bit(both, model, one_thread, steps):
    expected, found = cached(both, model, steps), live(both, model, steps)
    assert len(expected) == 40
    assert len(found) in range(40, 50)  # ingest throws away what fills no shard
    assert_same(found[:40], expected)


def test_a_range_of_windows_begins_with_fresh_state_as_in_the_cache(both, model, one_thread):
    found = live(both, model, 5, first=12, last=24)
    assert_same(found, cached(both, model, 5, 12, 24))
    with_memory = live(both, model, 5)[12:24]
    assert [one.scores.tolist() for one in found] != [one.scores.tolist() for one in with_memory]
