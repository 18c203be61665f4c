import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmanet.data.batches import (
    BatchLoader,
    check_fit,
    class_outputs,
    collate,
    recordings_of,
    select_classes,
)
from dmanet.data.samplers import Sample, WindowRange, make_sampler, read_tape
from dmanet.data.unpacking import decode_batch
from dmanet.detection.losses import Targets
from dmanet.settings import ModelSettings
from pipeline.cache.reader import PillarCache
from pipeline.errors import CacheError, UsageError
from tests.dmanet.caches import CLASSES, GRID, LONG, SMALL


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


def frames_of(batch):
    """The recording and window of each frame, as the samples say."""
    slots = [
        [(p.recording, w) for p in sample.pieces for w in range(p.start, p.stop)]
        for sample in batch.samples
    ]
    return [slot[t] for t in range(batch.steps) for slot in slots]


@pytest.fixture(params=["release", "paper"])
def either_cache(request, cache, paper_cache):
    return {"release": cache, "paper": paper_cache}[request.param]


def test_pieces_of_several_recordings_and_sensors_are_joined_window_by_window(either_cache):
    samples = [
        Sample((WindowRange(LONG, 12, 15), WindowRange(SMALL, 0, 2)), (5, 6), False, 5),
        Sample((WindowRange(SMALL, 3, 8),), (7,), True, 5),
        Sample((WindowRange(LONG, 27, 30), *[WindowRange(LONG, 29, 30)] * 2), (8, 8, 8), True, 3),
    ]
    (batch,) = BatchLoader(either_cache, [samples])
    assert (batch.steps, batch.sequences, batch.samples) == (5, 3, tuple(samples))
    pillars = decode_batch(batch)
    boxes = 0
    for frame, (recording, k) in enumerate(frames_of(batch)):
        window = either_cache.recording(recording).read(k, k + 1)
        assert batch.settings[batch.sensor[frame]] == window.encoding
        assert batch.spans[frame] == window.spans[0]
        for polarity, found in enumerate(reversed(pillars)):
            rows = found.coords[:, 0] == frame
            expected = window.tensors(0, polarity)
            assert np.array_equal(found.points[rows].numpy(), expected.points)
            assert np.array_equal(found.coords[rows, 1:].numpy(), expected.coords)
        rows = batch.targets.frame == frame
        assert np.array_equal(batch.targets.boxes[rows].numpy(), window.boxes)
        assert np.array_equal(batch.targets.classes[rows].numpy(), window.classes)
        boxes += len(window.boxes)
    assert len(batch.targets.boxes) == boxes > 5


def test_draws_counted_and_continues_stand_at_their_frames(cache):
    samples = [
        Sample((WindowRange(LONG, 29, 30), WindowRange(SMALL, 0, 2)), (5, 2**63 - 1), True, 3),
        Sample((WindowRange(SMALL, 8, 10), WindowRange(SMALL, 9, 10)), (7, 7), False, 2),
    ]
    (batch,) = BatchLoader(cache, [samples])
    assert batch.draws.tolist() == [5, 7, 2**63 - 1, 7, 2**63 - 1, 7]
    assert batch.counted.tolist() == [True, True, True, True, True, False]
    assert batch.continues.tolist() == [True, False]
    assert batch.reset.tolist() == [[False, True], [True, False], [False, True]]


@pytest.mark.parametrize("mode", ["random", "stream", "mixed"])
def test_memory_resets_exactly_where_a_slots_windows_do_not_follow_in_time(cache, mode):
    sampler = make_sampler(mode, lengths(cache), steps=3, batch_size=3, seed=2)
    seen = set()
    for epoch in range(4):
        sampler.epoch = epoch
        before = [None] * 3
        for batch in BatchLoader(cache, sampler):
            for frame, (recording, window) in enumerate(frames_of(batch)):
                step, slot = divmod(frame, 3)
                follows = before[slot] == (recording, window - 1)
                if step == 0 and slot < sampler.random:
                    follows = False  # by chance, not by intent
                gap = (recording, window) == (LONG, 20)
                assert batch.reset[step, slot] == (not follows or gap)
                before[slot] = (recording, window)
                seen.add((follows, gap))
    assert seen >= {(True, True), (True, False), (False, False)}


def test_boxes_of_other_classes_are_left_out_and_the_others_renumbered(cache):
    samples = [Sample((WindowRange(LONG, 0, 10),), (0,), False, 10)]
    (whole,) = BatchLoader(cache, [samples])
    (chosen,) = BatchLoader(cache, [samples], classes=(5, 0))
    number = np.array(CLASSES)
    release = number[whole.targets.classes]
    kept = (release == 5) | (release == 0)
    assert 0 < kept.sum() < len(kept)
    assert np.array_equal(np.array((5, 0))[chosen.targets.classes], release[kept])
    assert np.array_equal(chosen.targets.boxes, whole.targets.boxes[torch.from_numpy(kept)])
    assert np.array_equal(chosen.targets.frame, whole.targets.frame[torch.from_numpy(kept)])


@given(st.permutations(range(7)), st.permutations(range(7)), st.integers(1, 7), st.integers(1, 7))
def test_a_class_goes_to_the_output_that_bears_its_number(first, second, cached, wanted):
    cached, wanted = tuple(first[:cached]), tuple(second[:wanted])
    targets = Targets(
        boxes=torch.arange(4.0 * len(cached)).view(-1, 4),
        classes=torch.arange(len(cached)),
        frame=torch.arange(len(cached)),
    )
    chosen = select_classes(targets, class_outputs(cached, wanted))
    assert [wanted[c] for c in chosen.classes] == [c for c in cached if c in wanted]
    assert [cached[frame] for frame in chosen.frame] == [c for c in cached if c in wanted]


def test_sensors_are_kept_apart_in_one_batch(cache):
    batch = collate([cache.recording(SMALL).read(0, 2), cache.recording(LONG).read(0, 2)])
    sensors = [batch.settings[i].sensor for i in batch.sensor.tolist()]
    assert sensors == [(640, 480), (1280, 720)] * 2


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_same_batches_in_the_same_order(cache, workers):
    sampler = make_sampler("mixed", lengths(cache), steps=4, batch_size=2, seed=5)
    alone, ahead = (BatchLoader(cache, sampler, classes=(2, 5), workers=n) for n in (0, workers))
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


def test_a_network_for_some_of_the_caches_classes_fits(cache):
    width, height = GRID
    one = ModelSettings(grid_size=(height, width), max_points=3, num_classes=1)
    check_fit(cache, one, "the test's", (2,))
    with pytest.raises(CacheError, match="num_classes = 2, the test's has 1"):
        check_fit(cache, one, "the test's", (2, 5))
    with pytest.raises(CacheError, match=r"among \(0, 2, 5\), the test's has \(2, 3\)"):
        check_fit(cache, one, "the test's", (2, 3))


def test_a_window_that_fills_up_a_batch_is_joined_to_whole_samples(cache):
    tape = [(WindowRange(SMALL, 0, 5), 1)]
    *_, last = BatchLoader(cache, [[sample] for sample in read_tape(tape, 4)])
    assert frames_of(last) == [(SMALL, 4)] * 4
    assert last.counted.tolist() == [True, False, False, False]
    assert last.reset.flatten().tolist() == [False, True, True, True]


def test_packed_integers_keep_all_32_bits(cache):
    sample = cache.recording(LONG).read(0, 1)
    high = np.array([0xFFFFFFF9], np.uint32)
    sample = type(sample)(**{**vars(sample), "pillars": np.concatenate([high, sample.pillars[1:]])})
    assert collate([sample]).pillars[0].item() & 0xFFFFFFFF == 0xFFFFFFF9
