import shutil

import numpy as np
import pytest
import torch

from dmanet.config import ModelSettings
from dmanet.data import BatchLoader, check_fit, collate, recordings_of
from dmanet.samplers import make_sampler
from pipeline.cache import PillarCache
from pipeline.errors import CacheError, UsageError
from tests.dmanet.caches import GRID, LONG, SMALL


def lengths(cache):
    return {recording.id: len(recording) for recording in cache.recordings("train")}


def contents(batch):
    """Everything in a batch as comparable values."""
    tensors = {k: v.tolist() for k, v in vars(batch).items() if isinstance(v, torch.Tensor)}
    targets = {k: v.tolist() for k, v in vars(batch.targets).items()}
    return batch.samples, batch.positive, tensors, targets


def test_boxes_get_the_frame_of_their_step_and_sequence(cache):
    long, small = cache.recording(LONG), cache.recording(SMALL)
    samples = [long.read(4, 7), small.read(0, 3)]
    targets = collate(samples).targets
    for b, sample in enumerate(samples):
        for t in range(3):
            rows = targets.frame == 2 * t + b
            own = sample.box_window == t
            assert torch.equal(targets.boxes[rows], torch.from_numpy(sample.boxes[own]))
            assert torch.equal(targets.classes[rows], torch.from_numpy(sample.classes[own]))
    assert len(targets.frame) == sum(len(sample.boxes) for sample in samples)


def test_memory_resets_at_recording_starts_and_behind_gaps(cache):
    long = cache.recording(LONG)
    batch = collate([long.read(18, 22), long.read(0, 4)])
    expected = [[True, True], [False, False], [True, False], [False, False]]
    assert batch.reset.tolist() == expected


def test_sensors_are_kept_apart_in_one_batch(cache):
    batch = collate([cache.recording(SMALL).read(0, 2), cache.recording(LONG).read(0, 2)])
    sensors = [batch.settings[i].sensor for i in batch.sensor.tolist()]
    assert sensors == [(640, 480), (1280, 720)] * 2


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_same_batches_in_the_same_order(cache, workers):
    sampler = make_sampler("mixed", lengths(cache), steps=4, batch_size=2, seed=5)
    alone, ahead = (BatchLoader(cache, sampler, workers=n) for n in (0, workers))
    for epoch in (0, 1):  # the sampler may change between two iterations of one loader
        sampler.epoch = epoch
        expected = [contents(batch) for batch in alone]
        assert [contents(batch) for batch in ahead] == expected
        assert [list(samples) for samples, *_ in expected] == list(sampler)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_cache_is_one_sentence_also_from_a_worker(cache, tmp_path, workers):
    broken = tmp_path / "cache"
    shutil.copytree(cache.location, broken)
    for chunk in (broken / LONG / "pillars" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:40])
    opened = PillarCache(broken)
    loader = BatchLoader(opened, make_sampler("random", lengths(opened), 4, 2, 0), workers=workers)
    with pytest.raises(CacheError, match="'pillars' cannot be read") as raised:
        list(loader)
    assert "Traceback" not in str(raised.value)


def test_batches_of_two_caches_cannot_be_mixed(cache, paper_cache):
    with pytest.raises(CacheError, match="different settings"):
        collate([source.recording(LONG).read(0, 2) for source in (cache, paper_cache)])


def test_a_split_without_windows_names_those_there_are(cache):
    assert [recording.id for recording in recordings_of(cache, "train")] == [LONG, SMALL]
    with pytest.raises(UsageError, match="'val'; it holds test, train"):
        recordings_of(cache, "val")


def test_a_network_that_does_not_fit_the_cache_is_named_by_its_key(cache):
    width, height = GRID
    fitting = ModelSettings(grid_size=(height, width), max_points=3, num_classes=3)
    check_fit(cache, fitting, "the test's")
    for change in (
        {"grid_size": (width, height)},
        {"max_points": 5},
        {"num_classes": 7},
    ):
        (key,) = change
        with pytest.raises(CacheError, match=key):
            check_fit(cache, fitting.model_copy(update=change), "the test's")


def test_packed_integers_keep_all_32_bits(cache):
    sample = cache.recording(LONG).read(0, 1)
    high = np.array([0xFFFFFFF9], np.uint32)
    sample = type(sample)(**{**vars(sample), "pillars": np.concatenate([high, sample.pillars[1:]])})
    assert collate([sample]).pillars[0].item() & 0xFFFFFFFF == 0xFFFFFFF9
