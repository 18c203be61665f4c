import numpy as np
import pytest
import torch

from dmanet.samplers import WindowRange
from dmanet.streaming import StreamSettings, stream_detections
from tests.dmanet.caches import LONG, SMALL, TEST_A, small_run


@pytest.fixture(scope="module")
def model(lively_model):
    return lively_model(small_run().model)


def detect(model, cache, spans, steps=10, workers=0):
    """All detections window by window, with a threshold low enough that there are many."""
    stream = StreamSettings(torch.device("cpu"), "fp32", steps, workers)
    chunks = stream_detections(model, cache, spans, stream, score_threshold=0.02)
    return [(chunk, found) for chunk in chunks for found in chunk.detections]


def assert_same(first, second):
    assert len(first) == len(second)
    for (_, one), (_, other) in zip(first, second, strict=True):
        assert len(one) > 0
        assert np.array_equal(one.classes, other.classes)
        assert np.allclose(one.scores, other.scores, atol=1e-5)
        assert np.allclose(one.boxes, other.boxes, atol=1e-3)


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
