import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dmanet.runs.log import EpochReport, RunLog, StepReport
from dmanet.runs.log_lines import LONGEST_LINE
from dmanet.runs.outcomes import BadStep
from pipeline.errors import DataError, UsageError
from tests.dmanet.limits import files_of_at_most
from tests.dmanet.training_runs import lines

STEP = StepReport(
    step=0,
    epoch=0,
    outcome="made",
    loss=3.0,
    classification=1.0,
    regression=2.0,
    learning_rate=1e-3,
    gradient_norm=0.5,
    clipped=False,
    clip_rate=0.25,
    loss_scale=None,
    bad_steps=0,
    overflows=0,
    data_s=0.25,
    step_s=0.75,
    windows_per_s=40.0,
    memory_gb=0.5,
)
BAD = replace(
    STEP,
    step=1,
    outcome="bad loss",
    loss=math.nan,
    gradient_norm=math.inf,
    bad_step=BadStep("bad loss", {"classification": math.nan}, {"backbone": -math.inf}, ("a 0…3",)),
)
EPOCH = EpochReport(
    epoch=0, step=2, loss=3.0, score=None, score_of="mAP", best=False, validation_s=0.0
)


def test_every_step_and_epoch_is_a_line_and_a_point_of_each_curve(tmp_path: Path):
    with RunLog(tmp_path, 0, 0) as log:
        log.write(STEP)
        log.write(replace(STEP, step=1, loss_scale=1024.0))
        log.write_epoch(replace(EPOCH, score=0.5))
    assert [line["step"] for line in lines(tmp_path)] == [0, 1]
    assert lines(tmp_path)[0]["clip_rate"] == 0.25
    assert lines(tmp_path, "epochs.jsonl")[0]["score"] == 0.5
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    numbers = {k for k, v in vars(STEP).items() if isinstance(v, int | float)} - {"step"}
    assert {f"train/{name}" for name in numbers} <= set(curves.Tags()["scalars"])
    assert [event.step for event in curves.Scalars("train/loss")] == [0, 1]
    assert [event.value for event in curves.Scalars("train/loss_scale")] == [1024.0]
    assert curves.Scalars("epoch/score")[0].step == 1  # the last of the epoch


def test_numbers_that_are_none_are_null_in_columns_and_named_in_the_description(tmp_path: Path):
    with RunLog(tmp_path, 0, 0) as log:
        log.write(BAD)
    (line,) = lines(tmp_path)
    assert line["loss"] is None
    assert line["gradient_norm"] is None
    assert line["bad_step"] == {
        "outcome": "bad loss",
        "terms": {"classification": "nan"},
        "gradient_norms": {"backbone": "-inf"},
        "windows": ["a 0…3"],
    }
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert "train/bad_step/text_summary" in curves.Tags()["tensors"]


def test_a_resumed_log_drops_what_came_after_and_a_line_cut_short(tmp_path: Path):
    with RunLog(tmp_path, 0, 0) as log:
        for step in range(4):
            log.write(replace(STEP, step=step))
        log.write_epoch(EPOCH)
        log.write_epoch(replace(EPOCH, epoch=1))
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + json.dumps({"step": 4, "loss": 1.0})[:-5])
    with RunLog(tmp_path, 2, 1) as log:
        log.write(replace(STEP, step=2, loss=9.0))
    assert [line["step"] for line in lines(tmp_path)] == [0, 1, 2]
    assert lines(tmp_path)[2]["loss"] == 9.0
    assert [line["epoch"] for line in lines(tmp_path, "epochs.jsonl")] == [0]


@pytest.mark.parametrize("name", ["metrics.jsonl", "epochs.jsonl"])
@pytest.mark.parametrize(
    "content",
    [
        b"\x00\xff\n",
        b"[1]\n",
        b'{"step": "1"}\n',
        b"{}\n",
        b"NaN\n",
        b"[" * 100_000 + b"\n",
        b"x" * (LONGEST_LINE + 5),
    ],
    ids=range(7),
)
def test_a_log_of_something_else_is_one_sentence_and_stays(tmp_path: Path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}, line 1: is no line") as raised:
        RunLog(tmp_path, 0, 0)
    assert "\n" not in str(raised.value)
    assert (tmp_path / name).read_bytes() == content


def test_a_log_that_is_no_file_is_refused(tmp_path: Path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        RunLog(tmp_path, 0, 0)
    (tmp_path / "metrics.jsonl").rmdir()
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(UsageError, match="is a pipe"):
        RunLog(tmp_path, 0, 0)


@pytest.mark.parametrize(("full", "steps", "room"), [("metrics", 9, 200), ("tensorboard", 0, 700)])
def test_a_full_disk_is_an_error_that_names_the_file_and_the_log_can_be_read(
    tmp_path: Path, full, steps, room
):
    with RunLog(tmp_path, 0, 0) as log:
        for step in range(steps):
            log.write(replace(STEP, step=step))
    written = (tmp_path / "metrics.jsonl").stat().st_size

    def go_on() -> None:
        with RunLog(tmp_path, steps, 0) as log:
            log.write(replace(STEP, step=steps))
            log.write(replace(STEP, step=steps + 1))

    with files_of_at_most(written + room), pytest.raises(OSError, match="large") as raised:
        go_on()
    assert full in raised.value.filename
    go_on()
    assert [line["step"] for line in lines(tmp_path)] == [*range(steps + 2)]
