"""TensorBoard's files: in the order of their making, whatever the clock does."""

import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dmanet.runs.curves import Curves


def test_a_clock_set_back_between_two_parts_of_a_run_leaves_one_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now, first, steps in ((2e9, 0, range(4)), (1e9, 2, range(2, 6)), (1e9, 4, range(4, 8))):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        curves = Curves(tmp_path, first)
        for step in steps:
            curves.add(step, {"loss": first + step / 100})
        curves.close()
    found = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    found.Reload()
    points = [(point.step, round(point.value, 2)) for point in found.Scalars("loss")]
    expected = [
        (0, 0.0),
        (1, 0.01),
        (2, 2.02),
        (3, 2.03),
        (4, 4.04),
        (5, 4.05),
        (6, 4.06),
        (7, 4.07),
    ]
    assert points == expected
