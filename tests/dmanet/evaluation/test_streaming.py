from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmanet.data.batches import collate
from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import WindowRange, make_sampler
from dmanet.data.unpacking import decode_batch
from dmanet.evaluation.streaming import StreamSettings, _batches, _counted_pieces, stream_detections
from tests.dmanet.caches import LONG, SMALL, TEST_A, TEST_B, small_run


@pytest.fixture(scope="module")
def model(lively_model):
    return lively_model(small_run().model)


def detect(model, cache, spans, steps=10, workers=0, batch=1):
    """All detections window by window, with a threshold low enough that there are many."""
    stream = StreamSettings(torch.device("cpu"), "fp32", steps, workers, batch)
    chunks = stream_detections(model, cache, spans, stream, score_threshold=0.02)
    return [(chunk, found) for chunk in chunks for found in chunk.detections]


def assert_same(first, second):
    assert len(first) == len(second)
    for (_, one), (_, other) in zip(first, second, strict=True):
        assert len(one) > 0
        assert len(one) == len(other)
        # Untrained scores lie so close that rounding decides their order: look for each one's partner.
        rows, others = (np.column_stack([d.boxes, 100 * d.scores, d.classes]) for d in (one, other))
        partner = np.abs(rows[:, None] - others).max(axis=2).argmin(axis=1)
        assert sorted(partner) == list(range(len(other)))
        assert np.allclose(rows, others[partner], atol=1e-3)


def differ(first, second):
    return any(
        len(one) != len(other) or not np.allclose(one.scores, other.scores, atol=1e-5)
        for (_, one), (_, other) in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_results_do_not_depend_on_how_many_windows_run_at_a_time(model, cache, steps):
    spans = [WindowRange(LONG, 0, 30), WindowRange(TEST_A, 0, 20)]
    assert_same(detect(model, cache, spans, steps), detect(model, cache, spans, 10))


def test_memory_is_carried_over_contiguous_windows(model, cache):
    whole = detect(model, cache, [WindowRange(LONG, 0, 20)])
    later = detect(model, cache, [WindowRange(LONG, 12, 20)])
    assert differ(whole[12:], later)


@pytest.mark.parametrize("steps", [1, 7, 10])
def test_nothing_is_remembered_over_a_gap(model, cache, steps):
    whole = detect(model, cache, [WindowRange(LONG, 0, 30)], steps)
    behind = detect(model, cache, [WindowRange(LONG, 20, 30)])
    assert_same(whole[20:], behind)


def test_nothing_is_remembered_from_another_recording(model, cache):
    spans = [WindowRange(LONG, 0, 10), WindowRange(SMALL, 0, 10)]
    assert_same(detect(model, cache, spans)[10:], detect(model, cache, spans[1:]))


def test_a_span_begins_with_fresh_state_also_inside_a_recording(model, cache):
    spans = [WindowRange(LONG, 0, 12), WindowRange(LONG, 12, 20)]
    assert_same(detect(model, cache, spans)[12:], detect(model, cache, spans[1:]))


def logits(model, batch, state):
    with torch.no_grad():
        positive, negative = decode_batch(batch)
        output, state = model(positive, negative, batch.steps, batch.sequences, state, batch.reset)
    return output.logits, state


@pytest.mark.parametrize("mode", ["stream", "mixed"])
def test_carried_state_makes_a_stream_of_samples_one_run_over_its_windows(model, cache, mode):
    model.eval()
    recordings = {LONG: 30, SMALL: 10, TEST_A: 20}
    sampler = make_sampler(mode, recordings, steps=7, batch_size=3, seed=1)
    found, state = {}, None
    for batch in BatchLoader(cache, sampler):
        output, state = logits(model, batch, state)
        for windows, frames in _counted_pieces(batch):
            slot = frames[0] % batch.sequences
            if slot >= sampler.random:
                for k, frame in enumerate(frames):
                    window = windows.start + k
                    found.setdefault((slot, windows.recording), {})[window] = output[frame]
    assert sum(map(len, found.values())) == 60
    assert len(found) > len(recordings)  # a recording is cut between streams
    for (_, recording), windows in found.items():
        first = min(windows)
        whole = collate([cache.recording(recording).read(first, first + len(windows))])
        expected, _ = logits(model, whole, None)
        for k, one in enumerate(expected):
            assert torch.allclose(windows[first + k], one, atol=1e-5)


# Of other lengths, of two sensors, with a gap, with a span inside a recording, and one of one window.
SPANS = [
    WindowRange(TEST_A, 2, 9),
    WindowRange(LONG, 11, 30),
    WindowRange(SMALL, 0, 10),
    WindowRange(TEST_B, 0, 1),
    WindowRange(TEST_A, 9, 20),
]


@pytest.mark.parametrize(("batch", "steps"), [(2, 4), (3, 1), (5, 7), (9, 50)])
def test_spans_side_by_side_give_what_they_give_one_after_the_other(model, cache, batch, steps):
    alone, together = {}, {}
    for found, size in ((alone, 1), (together, batch)):
        for chunk, detections in detect(model, cache, SPANS, steps, batch=size):
            found.setdefault(chunk.windows, []).append((chunk, detections))
    for span in SPANS:
        one, other = (
            [
                (pair, w)
                for windows, pairs in found.items()
                if windows.recording == span.recording
                and span.start <= windows.start
                and windows.stop <= span.stop
                for pair, w in zip(pairs, range(windows.start, windows.stop), strict=True)
            ]
            for found in (alone, together)
        )
        every = list(range(span.start, span.stop))
        assert [w for _, w in one] == [w for _, w in other] == every
        assert_same([pair for pair, _ in one], [pair for pair, _ in other])


def test_the_frames_of_windows_name_their_pillars(model, cache):
    stream = StreamSettings(torch.device("cpu"), "fp32", steps=4, batch=3)
    for chunk in stream_detections(model, cache, SPANS, stream, score_threshold=0.5):
        recording = cache.recording(chunk.windows.recording)
        for k, frame in enumerate(chunk.frames):
            window = chunk.windows.start + k
            expected = recording.read(window, window + 1)
            for polarity, pillars in enumerate((chunk.negative, chunk.positive)):
                coords = pillars.coords[pillars.coords[:, 0] == frame, 1:]
                assert np.array_equal(coords, expected.tensors(0, polarity).coords)
            assert np.array_equal(chunk.labels[k].boxes, expected.boxes)


@given(st.lists(st.integers(1, 40), max_size=8), st.integers(1, 6), st.integers(1, 9))
def test_batches_hold_every_span_once_and_nothing_beyond_the_longest(lengths, batch, steps):
    spans = [WindowRange(f"r{i}", 0, length) for i, length in enumerate(lengths)]
    batches = _batches(spans, steps, batch)
    read = Counter(
        (piece.recording, window)
        for samples in batches
        for sample in samples
        for piece, window in [(p, w) for p in sample.pieces for w in range(p.start, p.stop)][
            : sample.counted
        ]
    )
    assert read == Counter((f"r{i}", w) for i, length in enumerate(lengths) for w in range(length))
    sizes = [len(samples) for samples in batches]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[:1] == ([min(batch, len(spans))] if spans else [])
    run = sum(max(sample.counted for sample in samples) for samples in batches)
    assert run <= max(lengths, default=0) + sum(lengths) / batch


def test_labels_are_those_of_the_networks_classes(model, cache):
    stream = StreamSettings(torch.device("cpu"), "fp32")
    span = [WindowRange(TEST_A, 0, 20)]
    whole, chosen = (
        [
            label
            for chunk in stream_detections(
                model, cache, span, stream, classes=classes, score_threshold=0.5
            )
            for label in chunk.labels
        ]
        for classes in (None, (5, 0))
    )
    kept = 0
    for one, other in zip(whole, chosen, strict=True):
        rows = one.classes != 1  # the cache's class 1 is the release's 2
        assert np.array_equal(other.boxes, one.boxes[rows])
        assert np.array_equal(other.classes, np.where(one.classes[rows] == 2, 0, 1))
        kept += rows.sum()
    assert 0 < kept < sum(len(label.classes) for label in whole)


def test_windows_come_in_order_with_their_labels(model, cache):
    found = detect(model, cache, [WindowRange(LONG, 5, 18)], steps=4, workers=1)
    chunks = list(dict.fromkeys(id(chunk) for chunk, _ in found))
    assert len(chunks) == 4
    labels = [label for chunk in {id(c): c for c, _ in found}.values() for label in chunk.labels]
    recording = cache.recording(LONG)
    for window, label in enumerate(labels, start=5):
        expected = recording.read(window, window + 1)
        assert np.array_equal(label.boxes, expected.boxes)
        assert np.array_equal(label.classes, expected.classes)
