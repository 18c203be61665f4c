"""Windows at rest: noise voxelized as any events are, and batches with stops window by window."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmanet.data.augmentation import augment
from dmanet.data.augmentation_settings import AugmentationSettings
from dmanet.data.batches import collate
from dmanet.data.loading import BatchLoader
from dmanet.data.resting import at_rest, noise_events
from dmanet.data.samplers import make_sampler
from dmanet.data.samples import Sample, WindowRange
from dmanet.data.unpacking import decode_batch
from pipeline.cache.reader import PillarCache
from pipeline.release.shards import WINDOW_US, walk_release, write_shard
from pipeline.voxelizing.run import voxelize
from tests.dmanet.caches import GRID, LONG, SMALL
from tests.pipeline.releases import random_labels

NOISE = 0.002  # events a second and pixel: 92 in a window


@pytest.mark.parametrize("preset", ["release", "paper"])
def test_noise_gives_the_pillars_that_voxelizing_its_events_gives(
    cache, paper_cache, preset, tmp_path: Path
):
    chosen = {"release": cache, "paper": paper_cache}[preset]
    window = chosen.recording(LONG).read(5, 6)
    seeds = [(3, window.first, rest) for rest in range(1, 11)]
    start = 20 * WINDOW_US
    events = []
    for number, seed in enumerate(seeds):
        noise = noise_events((1280, 720), NOISE, np.random.default_rng(list(seed)))
        noise["t"] += start + number * WINDOW_US
        events.append(noise)
    labels = [random_labels(np.random.default_rng(0), start, 1) for _ in seeds]
    write_shard(tmp_path / "release", "train/trainfilelist00/noise", 2, events, labels)
    voxelize(
        walk_release(tmp_path / "release"), lambda key: (1280, 720), tmp_path / "cache",
        chosen.settings,
    )  # fmt: skip
    (recording,) = PillarCache(tmp_path / "cache").recordings("train")
    for number, seed in enumerate(seeds):
        found, expected = at_rest(window, NOISE, seed), recording.read(number, number + 1)
        assert found.points.dtype == expected.points.dtype
        for name in ("pillars", "points", "offsets", "spans"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name


def labelled_window(cache):
    """The first window of a recording that has boxes."""
    number = int(cache.recording(LONG).read(0, 10).box_window[0])
    return cache.recording(LONG).read(number, number + 1)


def test_a_window_at_rest_has_the_boxes_of_its_window_and_follows_the_one_before(cache):
    behind_a_gap = cache.recording(LONG).read(20, 21)
    assert behind_a_gap.starts.tolist() == [True]
    assert at_rest(behind_a_gap, NOISE, (1, 20, 1)).starts.tolist() == [False]
    window = labelled_window(cache)
    rested = at_rest(window, NOISE, (1, 20, 1))
    assert len(rested.boxes)
    for name in ("boxes", "classes", "box_window", "tracks"):
        assert np.array_equal(getattr(rested, name), getattr(window, name))


def test_there_is_as_much_noise_as_the_rate_says():
    rng = np.random.default_rng(0)
    counts = [len(noise_events((640, 360), 0.1, rng)) for _ in range(100)]
    assert np.mean(counts) == pytest.approx(640 * 360 * 0.1 * 0.05, rel=0.02)
    events = noise_events((640, 360), 0.1, rng)
    assert (np.diff(events["t"].astype(np.int64)) >= 0).all()
    assert events["t"].max() < WINDOW_US
    assert events["x"].max() < 640
    assert events["y"].max() < 360
    assert set(np.unique(events["p"])) == {0, 1}
    assert len(noise_events((640, 360), 0.0, rng)) == 0


def test_without_any_noise_a_window_at_rest_is_empty(cache):
    rested = at_rest(cache.recording(LONG).read(5, 6), 0.0, (1,))
    positive, negative = decode_batch(collate([rested]))
    assert len(positive.points) == len(negative.points) == 0


def frame_of(batch, frame):
    """Pillars and boxes of one frame of a batch as plain values, the frame's number left out."""
    rows = []
    for pillars in decode_batch(batch):
        own = pillars.coords[:, 0] == frame
        rows.append((pillars.points[own].tolist(), pillars.num_points[own].tolist(),
                     pillars.coords[own, 1:].tolist()))  # fmt: skip
    own = batch.targets.frame == frame
    return rows, batch.targets.boxes[own].tolist(), batch.targets.classes[own].tolist()


@settings(
    deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mode=st.sampled_from(["random", "stream", "mixed"]),
    steps=st.integers(2, 5),
    seed=st.integers(0, 99),
    stop=st.sampled_from([0.2, 1.0]),
)
def test_batches_with_stops_are_their_windows_one_by_one(cache, mode, steps, seed, stop):
    """Each frame is what one window gives alone; state is reset where nothing goes on."""
    augmentation = AugmentationSettings(stop=stop, stop_windows=(1, 3), stop_noise=NOISE)
    sampler = make_sampler(mode, {LONG: 30, SMALL: 10}, steps, 2, seed, augmentation=augmentation)
    without = make_sampler(mode, {LONG: 30, SMALL: 10}, steps, 2, seed)
    assert len(list(sampler)) == len(list(without))
    last = [None, None]
    rested = 0
    for batch in itertools.islice(BatchLoader(cache, sampler, stop_noise=NOISE), 5):
        for slot, sample in enumerate(batch.samples):
            read = [
                (piece.recording, window, rest, draw)
                for piece, rest, draw in zip(
                    sample.pieces, sample.rest_of_pieces(), sample.draws, strict=True
                )
                for window in range(piece.start, piece.stop)
            ]
            assert len(read) == steps
            for t, (recording, window, rest, draw) in enumerate(read[: sample.counted]):
                alone = cache.recording(recording).read(window, window + 1)
                goes_on = last[slot] in ((recording, window - 1, draw), rest and last[slot])
                goes_on = goes_on and (t > 0 or sample.continues)
                assert bool(batch.reset[t, slot]) == (
                    not goes_on or (not rest and bool(alone.starts[0]))
                )
                if rest:
                    assert last[slot] == (recording, window, draw)
                    alone = at_rest(alone, NOISE, (draw, window, rest))
                    rested += 1
                assert frame_of(batch, t * 2 + slot) == frame_of(collate([alone]), 0)
                assert int(batch.draws[t * 2 + slot]) == draw
                last[slot] = (recording, window, draw)
    assert rested > 0 or stop < 1


def test_a_stop_behind_a_gap_does_not_reset_again_and_again(cache):
    pieces = [(18, 21), (20, 21), (20, 21), (21, 23)]
    sample = Sample(
        tuple(WindowRange(LONG, *piece) for piece in pieces), (5,) * 4, False, 7, (0, 1, 2, 0)
    )
    (batch,) = BatchLoader(cache, [[sample]], stop_noise=NOISE)
    assert batch.reset[:, 0].tolist() == [True, False, True, False, False, False, False]


def test_workers_give_the_same_stops(cache):
    augmentation = AugmentationSettings(stop=0.5, stop_windows=(1, 3))
    sampler = make_sampler("mixed", {LONG: 30}, 4, 2, 5, augmentation=augmentation)
    alone, ahead = (BatchLoader(cache, sampler, workers=n, stop_noise=NOISE) for n in (0, 1))
    for one, other in zip(alone, ahead, strict=True):
        assert one.samples == other.samples
        for name in ("pillars", "points", "offsets", "reset", "spans"):
            assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_frame_at_rest_is_moved_with_its_sequence(cache):
    """A stop is flipped as the windows around it are: its boxes stay where they were."""
    window = labelled_window(cache).first
    pieces = (WindowRange(LONG, window, window + 1),) * 2
    sample = Sample(pieces, (1, 1), False, 2, (0, 1))
    (batch,) = BatchLoader(cache, [[sample]], stop_noise=NOISE)
    for flip in (0.0, 1.0):
        chosen = AugmentationSettings(flip=flip)
        *_, targets = augment(
            *decode_batch(batch), batch.targets, batch, chosen, GRID[::-1]
        )  # fmt: skip
        first, second = (targets.boxes[targets.frame == t].tolist() for t in (0, 1))
        assert first == second
        assert first
