import numpy as np
import pytest
import torch

from dmanet.data.batches import collate
from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import Sample, WindowRange, make_sampler, read_tape
from dmanet.data.unpacking import decode_batch
from pipeline.errors import CacheError
from tests.dmanet.caches import LONG, SMALL


def lengths(cache):
    return {recording.id: len(recording) for recording in cache.recordings("train")}


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


def test_sensors_are_kept_apart_in_one_batch(cache):
    batch = collate([cache.recording(SMALL).read(0, 2), cache.recording(LONG).read(0, 2)])
    sensors = [batch.settings[i].sensor for i in batch.sensor.tolist()]
    assert sensors == [(640, 480), (1280, 720)] * 2


def test_batches_of_two_caches_cannot_be_mixed(cache, paper_cache):
    with pytest.raises(CacheError, match="different settings"):
        collate([source.recording(LONG).read(0, 2) for source in (cache, paper_cache)])


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
