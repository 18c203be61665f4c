"""A prediction as a video and as boxes: what is in the frames, and what is in the files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dmanet.data.samplers import WindowRange
from dmanet.detection.found import Detections
from dmanet.evaluation.streaming import StreamSettings
from dmanet.reporting import prediction_outputs
from dmanet.reporting.found_windows import FoundWindow, Threshold, found_in_cache
from dmanet.reporting.prediction import PredictionSettings, predict
from dmanet.reporting.prediction_outputs import Outputs, write_outputs
from dmanet.runs.records import Weights
from pipeline.errors import UsageError
from pipeline.exchange.formats import load_boxes
from pipeline.pictures.colours import track_colour
from pipeline.pictures.window import draw_window
from tests.dmanet.caches import LONG, NAMED, SMALL, small_run

CPU = StreamSettings(torch.device("cpu"), "fp32")
SPANS = [WindowRange(LONG, 5, 25), WindowRange(SMALL, 0, 10)]


@pytest.fixture(scope="module")
def weights(lively_model) -> Weights:
    model = lively_model(small_run().model)
    with torch.no_grad():
        model.class_head.output.bias += 3
    return Weights(model.settings, model.state_dict(), NAMED, "the test's weights")


@pytest.fixture(scope="module")
def windows(weights, cache) -> list[FoundWindow]:
    return list(found_in_cache(weights, cache, SPANS[1:], CPU, Threshold(0.1)))


class Frames:
    """Keeps what a video would hold."""

    def __init__(self) -> None:
        self.pictures: list[np.ndarray] = []

    def write(self, image: np.ndarray) -> None:
        self.pictures.append(image)


@pytest.fixture
def frames(monkeypatch) -> Frames:
    kept = Frames()

    @contextmanager
    def opened(path: Path, rate: float) -> Iterator[Frames]:
        assert rate == 20
        yield kept

    monkeypatch.setattr(prediction_outputs, "open_video", opened)
    return kept


def write(windows, cache, outputs: Outputs):
    return write_outputs(
        windows, outputs, NAMED, cache.settings.class_names, "the test", lambda: None
    )


def test_an_object_keeps_its_colour_from_frame_to_frame(windows, cache, frames):
    def moved(window: FoundWindow, step: int) -> FoundWindow:
        boxes = np.array([[10 + step, 10, 40 + step, 40], [60 - step, 30, 80 - step, 60]])
        found = Detections(
            boxes.astype(np.float32), np.float32([0.9, 0.8 + 0.15 * (step % 2)]), np.array([0, 1])
        )
        return replace(window, detections=found, t_us=50_000 * step)

    made = [moved(window, step) for step, window in enumerate(windows)]
    assert write(made, cache, Outputs(Path("out.mp4"), None)).windows == 10
    assert len(frames.pictures) == 10
    scale = 960 / 96
    for step, picture in enumerate(frames.pictures):
        assert picture.dtype == np.uint8
        assert picture.shape == frames.pictures[0].shape
        for number, (x, y) in enumerate([(10 + step, 25), (60 - step, 45)]):
            assert tuple(picture[round(y * 720 / 64), round(x * scale)]) == track_colour(number)


def test_the_tag_of_each_box_is_of_its_own_class(windows):
    found = Detections(
        np.float32([[10, 10, 30, 30], [50, 20, 80, 60]]), np.float32([0.9, 0.5]), np.array([0, 1])
    )
    colours = [track_colour(0), track_colour(1)]
    one, other = (
        np.asarray(draw_window(windows[0].cells(), names, found, colours=colours)).astype(int)
        for names in (("car", "bus"), ("car", "van"))
    )
    changed = np.argwhere(np.abs(one - other).sum(axis=2))
    assert len(changed) > 20
    assert changed[:, 1].min() >= 50 * 960 / 96 - 1  # nothing but the second box's tag


def test_boxes_of_several_recordings_are_those_of_the_folder(weights, cache, tmp_path: Path):
    expected = predict(
        weights, cache, SPANS, tmp_path / "folder", CPU, PredictionSettings(0.1, pictures=0)
    )
    for batch in (1, 2):  # side by side the recordings take turns
        found = found_in_cache(weights, cache, SPANS, replace(CPU, batch=batch), Threshold(0.1))
        told = write(found, cache, Outputs(None, tmp_path / f"boxes{batch}.h5"))
        assert told.windows == 30
        saved = load_boxes(tmp_path / f"boxes{batch}.h5")
        assert saved.class_names == cache.settings.class_names
        assert told.boxes == saved.boxes()
        for prediction, recording in zip(expected, saved.recordings, strict=True):
            assert recording.name == prediction.recording
            assert recording.sensor == cache.recording(recording.name).sensor
            assert len(recording.boxes) == prediction.boxes > 10
            if batch == 1:
                boxes = np.load(prediction.box_file)
                assert recording.boxes.tobytes() == boxes.tobytes()


def test_without_windows_nothing_is_written(cache, tmp_path: Path):
    with pytest.raises(UsageError, match="the test: has no windows to detect in"):
        write([], cache, Outputs(tmp_path / "out.gif", tmp_path / "boxes.json"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_what_fails_in_between_leaves_neither_video_nor_boxes(
    windows, cache, tmp_path: Path, suffix
):
    def broken() -> Iterator[FoundWindow]:
        yield from windows[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(broken(), cache, Outputs(tmp_path / f"out{suffix}", tmp_path / "boxes.npy"))
    assert list(tmp_path.iterdir()) == []
