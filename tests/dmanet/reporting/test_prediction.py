from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dmanet.data.samplers import WindowRange
from dmanet.evaluation.streaming import StreamSettings, stream_detections
from dmanet.reporting.prediction import PredictionSettings, predict
from dmanet.runs.records import Weights
from pipeline.errors import UsageError
from tests.dmanet.caches import CLASSES, GRID, LONG, NAMED, SMALL, small_run

CPU = StreamSettings(torch.device("cpu"), "fp32")
SPANS = [WindowRange(LONG, 5, 25), WindowRange(SMALL, 0, 10)]
SETTINGS = PredictionSettings(score_threshold=0.1, pictures=3)


@pytest.fixture(scope="module")
def weights(lively_model) -> Weights:
    model = lively_model(small_run().model)
    with torch.no_grad():
        model.class_head.output.bias += 3
    return Weights(model.settings, model.state_dict(), NAMED, "the test's weights")


def test_boxes_are_the_streams_in_sensor_pixels_at_their_windows_begin(
    weights, cache, tmp_path: Path
):
    made = predict(weights, cache, SPANS, tmp_path / "out", CPU, SETTINGS)
    stream = stream_detections(weights.build(), cache, SPANS, CPU, score_threshold=0.1)
    found = [(chunk, frame) for chunk in stream for frame in range(len(chunk.detections))]
    for prediction, span in zip(made, SPANS, strict=True):
        recording = cache.recording(span.recording)
        boxes = np.load(prediction.box_file)
        assert prediction.boxes == len(boxes) > 10
        for chunk, frame in found:
            if chunk.windows.recording != span.recording:
                continue
            expected = chunk.detections[frame]
            t = recording.window_column("t_start")[chunk.windows.start + frame]
            own = boxes[boxes["t"] == t]
            assert len(own) == len(expected)
            assert np.allclose(
                own["x"] * GRID[0] / recording.sensor[0], expected.boxes[:, 0], atol=1e-3
            )
            bottom = (own["y"] + own["h"]) * GRID[1] / recording.sensor[1]
            assert np.allclose(bottom, expected.boxes[:, 3], atol=1e-3)
            assert own["class_id"].tolist() == [CLASSES[c] for c in expected.classes]
            assert np.allclose(own["class_confidence"], expected.scores)


def test_recordings_side_by_side_give_the_same_files(weights, cache, tmp_path: Path):
    alone = predict(weights, cache, SPANS, tmp_path / "alone", CPU, SETTINGS)
    stream = replace(CPU, batch=2, steps=4)
    together = predict(weights, cache, SPANS, tmp_path / "together", stream, SETTINGS)
    for one, other in zip(alone, together, strict=True):
        boxes, expected = np.load(other.box_file), np.load(one.box_file)
        assert len(boxes) == len(expected) > 10
        assert np.array_equal(boxes["t"], expected["t"])
        for t in np.unique(boxes["t"]):
            # Untrained scores lie so close that rounding decides their order: look for the partner.
            rows, others = (
                np.column_stack(
                    [found[found["t"] == t][name] for name in ("x", "y", "w", "h", "class_id")]
                    + [100 * found[found["t"] == t]["class_confidence"]]
                )
                for found in (boxes, expected)
            )
            partner = np.abs(rows[:, None] - others).max(axis=2).argmin(axis=1)
            assert sorted(partner) == list(range(len(others)))
            assert np.allclose(rows, others[partner], rtol=1e-4, atol=1e-3)
        assert [p.name for p in one.pictures] == [p.name for p in other.pictures]


def test_pictures_are_spread_evenly_and_have_the_sensors_shape(weights, cache, tmp_path: Path):
    made = predict(weights, cache, SPANS, tmp_path / "out", CPU, SETTINGS)
    names = [path.name for path in made[0].pictures]
    assert names == ["window_00008.png", "window_00015.png", "window_00021.png"]
    for prediction, ratio in zip(made, (720 / 1280, 480 / 640), strict=True):
        for path in prediction.pictures:
            with Image.open(path) as picture:
                width, height = picture.size
            assert height > width * ratio  # the frame, and the strip below it
            assert height < width * ratio + 60
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    expected = [p for m in made for p in (m.box_file, *m.pictures)]
    assert sorted(written) == sorted(expected)


def test_more_pictures_than_windows_is_one_of_each(weights, cache, tmp_path: Path):
    span = WindowRange(SMALL, 2, 5)
    settings = PredictionSettings(pictures=50)
    (made,) = predict(weights, cache, [span], tmp_path / "out", CPU, settings)
    assert [path.name for path in made.pictures] == [f"window_0000{k}.png" for k in (2, 3, 4)]


def test_a_prediction_that_fails_leaves_nothing(weights, cache, tmp_path: Path):
    def fail(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(weights, cache, SPANS, tmp_path / "out", CPU, SETTINGS, on_windows=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_content_is_not_touched(weights, cache, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not empty"):
        predict(weights, cache, SPANS, tmp_path, CPU, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
