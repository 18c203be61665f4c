"""The offset between boxes and events, in a world of a few moving squares and in simulated streets."""

import numpy as np
import pytest

from pipeline.release.label_checks import EventCells
from pipeline.release.label_offset import FARTHEST
from pipeline.release.offset_estimator import LEAST_BOXES, OffsetEstimator
from pipeline.release.shards import EVENT_DTYPE
from pipeline.selection.scan import scan_release
from pipeline.simulation.recordings import SimulationSettings, simulate_release

SENSOR = (240, 120)


def square_at(window, start=10.0, speed=3.0):
    x = start + speed * window
    return x, 40.0, x + 30, 70.0


def square_events(rng, corners, inside=60, outside=400):
    x1, y1, x2, y2 = corners
    x = np.concatenate([rng.uniform(x1, x2, inside), rng.uniform(0, SENSOR[0], outside)])
    y = np.concatenate([rng.uniform(y1, y2, inside), rng.uniform(0, SENSOR[1], outside)])
    window = np.zeros(len(x), EVENT_DTYPE)
    window["x"], window["y"] = x, y
    return window


def estimate(late=0, windows=60, *, speed=3.0, inside=60, pauses=(), boxes=2):
    """Boxes of window k are those of window k - late."""
    rng = np.random.default_rng(7)
    estimator, cells = OffsetEstimator(SENSOR), EventCells(SENSOR)
    for k in range(windows):
        if k in pauses:
            estimator.interrupt()
        cells.count(square_events(rng, square_at(k, speed=speed), inside))
        corners = np.array([square_at(k - late, speed=speed)] * boxes)
        estimator.add(cells, corners, np.ones(boxes, bool))
    return estimator.estimate()


@pytest.mark.parametrize("late", [-4, -3, -1, 0, 1, 2, 3])
def test_a_shift_is_found_with_its_sign(late):
    found = estimate(late)
    assert found.windows == late
    assert found.low <= late <= found.high
    assert found.high - found.low <= 1


def test_a_shift_beyond_what_is_looked_at_is_not_told():
    assert estimate(FARTHEST + 2).windows is None


def test_what_stands_still_does_not_tell():
    assert estimate(2, speed=0.0).windows is None


def test_objects_as_busy_as_their_surround_do_not_tell():
    assert estimate(2, inside=0).windows is None


def test_few_boxes_do_not_tell():
    found = estimate(1, windows=40, boxes=1)
    assert (found.windows, found.low, found.high) == (None, -FARTHEST, FARTHEST)
    assert found.boxes < LEAST_BOXES


def test_windows_are_not_compared_over_a_gap():
    everything, cut = estimate(1, boxes=3), estimate(1, boxes=3, pauses=(30,))
    assert everything.boxes - cut.boxes == 3 * 2 * FARTHEST
    assert cut.windows == 1


@pytest.mark.parametrize("late", [0, -1, 3])
def test_a_shift_planted_by_the_simulator_is_found_by_a_scan(tmp_path, late):
    settings = SimulationSettings(
        seed=5,
        sensor=(160, 90),
        rate=3000,
        seconds=5,
        objects=5,
        recordings={"train": 1},
        label_offset=late,
        frames_per_window=4,
    )
    simulate_release(tmp_path / "r", settings)
    (row,) = scan_release(tmp_path / "r").recordings
    offset = row.label_checks.offset
    assert offset.windows == late
    assert offset.low <= late <= offset.high
