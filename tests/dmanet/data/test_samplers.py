from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dmanet.data.samplers import Sample, WindowRange, make_sampler, read_tape
from pipeline.errors import DataError, SettingsError

MODES = ("random", "stream", "mixed")
recordings = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.integers(1, 60), min_size=1, max_size=6
)
steps_of = st.integers(1, 12)
batch_sizes = st.integers(1, 5)
seeds = st.integers(0, 5)


@st.composite
def plans(draw, mode=None, epoch=None):
    """A mode, recordings that give at least one batch in it, T, B, seed, and an epoch of batches."""
    mode = mode or draw(st.sampled_from(MODES))
    lengths, steps, batch = draw(recordings), draw(steps_of), draw(batch_sizes)
    seed = draw(seeds)
    try:
        sampler = make_sampler(mode, lengths, steps, batch, seed)
    except (DataError, SettingsError):
        assume(False)
    sampler.epoch = draw(seeds) if epoch is None else epoch
    return mode, lengths, steps, batch, seed, sampler


def epoch_of(sampler, epoch):
    sampler.epoch = epoch
    return list(sampler)


def windows_of(sample: Sample) -> list[tuple[str, int]]:
    """The sample's windows, those that are not counted too."""
    return [(p.recording, w) for p in sample.pieces for w in range(p.start, p.stop)]


def slots_of(batches: list[list[Sample]]) -> list[list[Sample]]:
    return [list(slot) for slot in zip(*batches, strict=True)]


@given(plans())
def test_every_batch_has_b_samples_of_t_windows_inside_their_recordings(plan):
    _, lengths, steps, batch, _, sampler = plan
    batches = list(sampler)
    assert len(batches) == len(sampler) > 0
    for samples in batches:
        assert len(samples) == batch
        for sample in samples:
            windows = windows_of(sample)
            assert len(windows) == steps
            assert 0 <= sample.counted <= steps
            assert all(0 <= window < lengths[recording] for recording, window in windows)
            assert len(sample.draws) == len(sample.pieces)
            assert all(0 <= draw < 2**63 for draw in sample.draws)


@given(plans())
def test_a_sample_continues_exactly_where_its_first_window_follows_the_batch_before(plan):
    *_, sampler = plan
    for place, slot in enumerate(slots_of(list(sampler))):
        before = None
        for sample in slot:
            recording, window = windows_of(sample)[0]
            follows = before == (recording, window - 1)
            assert sample.continues == (follows and place >= sampler.random)
            before = windows_of(sample)[-1]


@given(plans())
def test_order_depends_on_seed_and_epoch_alone(plan):
    mode, lengths, steps, batch, seed, sampler = plan
    again = make_sampler(mode, lengths, steps, batch, seed)
    epoch_of(again, sampler.epoch + 1)  # what was read before leaves no trace
    assert epoch_of(again, sampler.epoch) == list(sampler)


@pytest.mark.parametrize("mode", MODES)
def test_epochs_and_seeds_differ(mode):
    sampler, other = (make_sampler(mode, {"a": 200, "b": 100}, 7, 2, seed) for seed in (0, 1))
    assert epoch_of(sampler, 0) != epoch_of(sampler, 1)
    assert epoch_of(sampler, 0) != epoch_of(other, 0)


@given(plans(), st.integers(0, 30))
def test_going_on_at_a_position_leaves_out_the_batches_before_it(plan, position):
    *_, sampler = plan
    whole = list(sampler)
    sampler.position = position
    assert list(sampler) == whole[position:]
    assert len(sampler) == len(whole)


@given(
    st.sampled_from(MODES), recordings, steps_of, st.integers(1, 3), st.integers(1, 3), seeds, seeds
)
def test_processes_share_the_plan_of_one_with_the_larger_batch(
    mode, lengths, steps, batch, ranks, seed, epoch
):
    try:
        whole = make_sampler(mode, lengths, steps, batch * ranks, seed)
    except (DataError, SettingsError) as error:
        with pytest.raises(type(error)):
            make_sampler(mode, lengths, steps, batch, seed, rank=0, ranks=ranks)
        return
    shares = [
        epoch_of(make_sampler(mode, lengths, steps, batch, seed, rank=rank, ranks=ranks), epoch)
        for rank in range(ranks)
    ]
    joined = [[s for share in shares for s in share[i]] for i in range(len(shares[0]))]
    assert joined == epoch_of(whole, epoch)


@given(plans("random"))
def test_random_samples_are_whole_and_as_many_as_a_recording_has_room_for(plan):
    _, lengths, steps, batch, _, sampler = plan
    samples = [sample for samples in sampler for sample in samples]
    assert all(len(s.pieces) == 1 and s.counted == steps and not s.continues for s in samples)
    drawn = Counter(sample.pieces[0].recording for sample in samples)
    assert all(drawn[recording] <= lengths[recording] // steps for recording in drawn)
    left_over = sum(length // steps for length in lengths.values()) - len(samples)
    assert 0 <= left_over < batch


@settings(max_examples=30)
@given(st.integers(1, 25), st.integers(1, 8), seeds)
def test_random_begins_at_any_window(length, steps, seed):
    assume(length >= steps)
    sampler = make_sampler("random", {"a": length}, steps, 1, seed)
    epochs = 40 * (length - steps + 1)
    starts = {s.pieces[0].start for epoch in range(epochs) for (s,) in epoch_of(sampler, epoch)}
    assert starts == set(range(length - steps + 1))


def test_a_random_epoch_spreads_over_the_recording():
    (first,), (second,) = epoch_of(make_sampler("random", {"a": 20}, 10, 1, seed=0), 0)
    halves = {first.pieces[0].start <= 5, second.pieces[0].start <= 5}
    assert len(halves) == 2  # one from each half of the starts


def counted_windows(slot: list[Sample]) -> list[tuple[str, int]]:
    return [window for sample in slot for window in windows_of(sample)[: sample.counted]]


@given(plans("stream"))
def test_streams_read_every_window_once(plan):
    _, lengths, *_, sampler = plan
    read = [window for slot in slots_of(list(sampler)) for window in counted_windows(slot)]
    every = [(recording, w) for recording, length in lengths.items() for w in range(length)]
    assert sorted(read) == sorted(every)


@given(plans("stream"))
def test_each_stream_is_contiguous_and_all_are_equally_long(plan):
    _, lengths, *_, sampler = plan
    slots = slots_of(list(sampler))
    sizes = [len(counted_windows(slot)) for slot in slots]
    assert max(sizes) - min(sizes) <= 1
    for slot in slots:
        windows = counted_windows(slot)
        for (recording, window), following in pairwise(windows):
            at_end = window == lengths[recording] - 1
            assert following[1] == 0 if at_end else following == (recording, window + 1)
    # Laid behind one another the streams give the tape: recordings are cut between streams only.
    tape = [recording for slot in slots for recording, _ in counted_windows(slot)]
    runs = 1 + sum(a != b for a, b in pairwise(tape))
    assert runs == len(lengths)


@given(plans("stream"))
def test_only_the_end_of_a_stream_is_filled_up_with_its_last_window(plan):
    *_, sampler = plan
    for slot in slots_of(list(sampler)):
        filled = [sample.counted < len(windows_of(sample)) for sample in slot]
        assert sum(filled) <= 2  # one that ends within, one beyond
        assert filled == sorted(filled)
        last = counted_windows(slot)[-1]
        for sample in slot:
            assert set(windows_of(sample)[sample.counted :]) <= {last}


@given(plans("stream"))
def test_a_draw_stays_for_what_a_stream_reads_of_a_recording_and_changes_with_it(plan):
    *_, sampler = plan
    seen = {}
    for slot, samples in enumerate(slots_of(list(sampler))):
        for sample in samples:
            for piece, draw in zip(sample.pieces, sample.draws, strict=True):
                assert seen.setdefault((slot, piece.recording), draw) == draw
    assert len(set(seen.values())) == len(seen)


@given(plans("mixed"))
def test_mixed_has_half_its_slots_random_and_reads_everything_once_in_the_others(plan):
    _, lengths, steps, batch, _, sampler = plan
    slots = slots_of(list(sampler))
    random, streams = slots[: batch // 2], slots[batch // 2 :]
    assert len(random) >= 1
    for sample in (sample for slot in random for sample in slot):
        assert (len(sample.pieces), sample.counted, sample.continues) == (1, steps, False)
    every = [(recording, w) for recording, length in lengths.items() for w in range(length)]
    assert sorted(w for slot in streams for w in counted_windows(slot)) == sorted(every)
    draws = Counter(sample.draws[0] for slot in random for sample in slot)
    assert set(draws.values()) == {1}


def test_what_cannot_fill_a_batch_is_refused_with_the_numbers():
    lengths = {"a": 9, "b": 4}
    with pytest.raises(DataError, match=r"13 windows give 1 samples of 5 windows.*batch of 2"):
        make_sampler("random", lengths, 5, 2, 0)
    with pytest.raises(DataError, match="13 windows cannot be read as 14 streams"):
        make_sampler("stream", lengths, 5, 14, 0)
    with pytest.raises(DataError, match="give 0 samples of 10 windows"):
        make_sampler("mixed", lengths, 10, 2, 0)
    with pytest.raises(SettingsError, match="batch_size=2"):
        make_sampler("mixed", lengths, 5, 1, 0)
    assert len(make_sampler("mixed", lengths, 5, 1, 0, rank=0, ranks=2)) == 3


def test_a_tape_is_read_over_the_borders_of_its_ranges():
    tape = [(WindowRange("a", 3, 8), 1), (WindowRange("b", 0, 2), 2)]
    assert read_tape(tape, 3) == [
        Sample((WindowRange("a", 3, 6),), (1,), continues=False, counted=3),
        Sample((WindowRange("a", 6, 8), WindowRange("b", 0, 1)), (1, 2), continues=True, counted=3),
        Sample((WindowRange("b", 1, 2),) * 3, (2, 2, 2), continues=True, counted=1),
    ]
