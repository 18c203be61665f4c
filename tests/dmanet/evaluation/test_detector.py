import numpy as np
import pytest
import torch

from dmanet.data.samplers import WindowRange
from dmanet.evaluation.detector import Detector, load_detector
from dmanet.evaluation.evaluate import evaluate
from dmanet.evaluation.prophesee import box_records
from dmanet.evaluation.streaming import StreamSettings, stream_detections
from dmanet.runs.records import Weights
from dmanet.runs.weights import save_weights
from pipeline.errors import CacheError, UsageError
from tests.dmanet.caches import LONG, NAMED, SMALL, small_run

CPU = StreamSettings(torch.device("cpu"), "fp32")


@pytest.fixture(scope="module")
def weights(lively_model) -> Weights:
    model = lively_model(small_run().model)
    with torch.no_grad():
        model.class_head.output.bias += 3
    return Weights(model.settings, model.state_dict(), NAMED, "the test's weights")


@pytest.fixture(scope="module")
def detector(weights, cache) -> Detector:
    return Detector(weights, cache, "cpu", "fp32")


@pytest.mark.parametrize(
    ("key", "pieces"), [(LONG, [(0, 1), (1, 19), (19, 30)]), (SMALL, [(0, 10)])]
)
def test_windows_by_hand_give_what_streaming_gives(detector, weights, cache, key, pieces):
    """With the state passed on from piece to piece; in pixels of the sensor, by class names."""
    recording = cache.recording(key)
    found, state = [], None
    for start, stop in pieces:
        boxes, state = detector.detect(recording.read(start, stop), state, score_threshold=0.1)
        found += boxes
    span = WindowRange(key, 0, len(recording))
    stream = stream_detections(weights.build(), cache, [span], CPU, score_threshold=0.1)
    expected = [window for chunk in stream for window in chunk.detections]
    assert [one.t for one in found] == recording.window_column("t_start").tolist()
    assert sum(map(len, found)) > 50
    grid_size = weights.settings.grid_size
    for one, other in zip(found, expected, strict=True):
        records = box_records(other, 0, grid_size, recording.sensor)
        assert len(one) == len(records)
        # Untrained scores lie so close that rounding decides their order.
        assert np.allclose(np.sort(one.scores), np.sort(other.scores), atol=1e-4)
        assert np.allclose(np.sort(one.boxes[:, 0]), np.sort(records["x"]), atol=0.05)
        right = np.sort(records["x"] + records["w"])
        assert np.allclose(np.sort(one.boxes[:, 2]), right, atol=0.05)
        names = [("pedestrian", "car", "traffic sign")[number] for number in other.classes]
        assert list(one.class_names) == names


def test_without_state_memory_begins_anew(detector, cache):
    windows = cache.recording(LONG).read(12, 13)
    before = cache.recording(LONG).read(0, 12)
    _, state = detector.detect(before)
    (carried,), _ = detector.detect(windows, state, score_threshold=0.05)
    (anew,), _ = detector.detect(windows, score_threshold=0.05)
    assert len(carried) != len(anew) or not np.allclose(carried.scores, anew.scores, atol=1e-5)


def test_a_file_of_weights_is_scored_as_evaluate_scores_it(weights, cache, tmp_path):
    save_weights(tmp_path / "weights", weights)
    detector = load_detector(str(tmp_path / "weights"), cache, "cpu")
    result = detector.score("release", split="test")
    stream = StreamSettings(detector.device, detector.precision)
    assert result.rows == evaluate(weights, cache, "release", "test", stream).rows
    assert str(result) == result.as_table()


def test_windows_of_another_cache_are_refused(detector, paper_cache):
    with pytest.raises(CacheError, match="other settings"):
        detector.detect(paper_cache.recording(LONG).read(0, 1))


def test_what_does_not_fit_is_refused_when_the_network_is_loaded(weights, cache, tmp_path):
    with pytest.raises(UsageError, match="no such checkpoint"):
        load_detector(tmp_path / "none.pt", cache)
    settings = weights.settings.model_copy(update={"max_points": 5})
    with pytest.raises(CacheError, match="max_points"):
        Detector(Weights(settings, weights.tensors, NAMED, "the test's"), cache)


def test_boxes_print_as_lines(detector, cache):
    (found,), _ = detector.detect(cache.recording(LONG).read(2, 3), score_threshold=0.1)
    first, *lines = str(found).splitlines()
    assert first == f"{len(found)} boxes at 0.60 s"
    assert len(lines) == len(found)
    assert lines[0].startswith(found.class_names[0])
