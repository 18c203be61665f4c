from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmanet.samplers import RandomWindows, WindowRange, consecutive_windows
from pipeline.errors import DataError

recordings = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.integers(1, 60), min_size=1, max_size=6
)


def epoch_of(sampler, epoch):
    sampler.epoch = epoch
    return list(sampler)


@given(recordings, st.integers(1, 12), st.integers(1, 4), st.integers(0, 5), st.integers(0, 5))
def test_random_ranges_are_whole_and_inside_their_recording(lengths, steps, batch, seed, epoch):
    if sum(length // steps for length in lengths.values()) < batch:
        with pytest.raises(DataError, match="fewer than a batch"):
            RandomWindows(lengths, steps, batch, seed)
        return
    sampler = RandomWindows(lengths, steps, batch, seed)
    batches = epoch_of(sampler, epoch)
    assert len(batches) == len(sampler)
    assert {len(ranges) for ranges in batches} == {batch}
    ranges = [one for ranges in batches for one in ranges]
    for one in ranges:
        assert one.stop - one.start == steps
        assert 0 <= one.start <= one.stop <= lengths[one.recording]
    drawn = Counter(one.recording for one in ranges)
    assert all(drawn[recording] <= lengths[recording] // steps for recording in drawn)
    left_over = sum(length // steps for length in lengths.values()) - len(ranges)
    assert 0 <= left_over < batch


@given(recordings, st.integers(0, 9), st.integers(0, 9))
def test_order_depends_on_seed_and_epoch_alone(lengths, seed, epoch):
    first, second = (RandomWindows(lengths, 1, 1, seed) for _ in range(2))
    epoch_of(first, epoch + 1)  # what was drawn before leaves no trace
    assert epoch_of(first, epoch) == epoch_of(second, epoch)


def test_epochs_and_seeds_differ():
    sampler, other = (RandomWindows({"a": 200, "b": 100}, 7, 2, seed) for seed in (0, 1))
    assert epoch_of(sampler, 0) != epoch_of(sampler, 1)
    assert epoch_of(sampler, 0) != epoch_of(other, 0)


def test_every_window_begins_a_sample_in_some_epoch():
    sampler = RandomWindows({"a": 23}, 5, 1, seed=3)
    starts = {one.start for epoch in range(200) for (one,) in epoch_of(sampler, epoch)}
    assert starts == set(range(23 - 5 + 1))


def test_an_epoch_spreads_over_the_recording():
    (first,), (second,) = epoch_of(RandomWindows({"a": 20}, 10, 1, seed=0), 0)
    assert len({first.start <= 5, second.start <= 5}) == 2  # one from each half of the starts


@given(st.integers(0, 30), st.integers(1, 30), st.integers(1, 12))
def test_consecutive_windows_are_read_once_in_order(start, count, steps):
    batches = consecutive_windows("a", start, start + count, steps)
    windows = [w for (one,) in batches for w in range(one.start, one.stop)]
    assert windows == list(range(start, start + count))
    assert all(
        isinstance(one, WindowRange) and len(batch) == 1 for batch in batches for one in batch
    )
    assert all(one.stop - one.start == steps for (one,) in batches[:-1])
