"""`dmanet train` as a user types it: what works, and one sentence for what does not."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dmanet.runs.checkpoint import load_checkpoint
from tests.cli.model.commands import QUICK, refused, run


def test_a_run_resumes_with_its_own_settings(cache, trained, tmp_path: Path):
    run_dir = tmp_path / "run"
    shutil.copytree(trained.parent, run_dir)
    before = (run_dir / "metrics.jsonl").read_text()
    result = run("train", cache, "--run-dir", run_dir, "--resume", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert (run_dir / "metrics.jsonl").read_text() == before  # it was finished already


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_after_a_step_saves_and_says_how_to_go_on(
    cache, tmp_path: Path, number, code
):
    run_dir = tmp_path / "run"
    command = ["train", cache, "--run-dir", run_dir, *QUICK, "--set", "training.epochs=1000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *map(str, command), "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (run_dir / "metrics.jsonl").exists() or not (run_dir / "metrics.jsonl").read_text():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    os.killpg(process.pid, number)  # as a terminal does: the workers get it too
    _, messages = process.communicate(timeout=60)
    assert process.returncode == code, messages
    steps = len((run_dir / "metrics.jsonl").read_text().splitlines())
    stopped = messages.strip().splitlines()[-1]
    assert stopped.startswith(f"stopped after step {steps} of ")
    assert f"dmanet train {cache} --run-dir {run_dir} --resume" in stopped
    assert "Traceback" not in messages
    assert load_checkpoint(run_dir / "last.pt").step == steps


def test_bad_steps_are_told_and_many_in_a_row_end_with_exit_code_1(cache, tmp_path: Path):
    run_dir = tmp_path / "run"
    result = run(
        "train", cache, "--run-dir", run_dir, *QUICK, "--set", "training.learning_rate=1e30",
        "--set", "training.warmup_epochs=0", "--set", "training.epochs=3", "--max-bad-steps", 2,
        "--quiet",
    )  # fmt: skip
    assert result.exit_code == 1, result.output
    first, second, last = result.stderr.strip().splitlines()[-3:]
    assert "skipped: the loss is not a number (classification" in first
    assert "skipped: " in second
    assert last.startswith("Error: Training stopped at step ")
    assert "after 2 bad steps in a row" in last
    assert load_checkpoint(run_dir / "last.pt").tally.bad >= 2


def test_a_checkpoint_of_another_architecture_is_refused(cache, trained, tmp_path: Path):
    run_dir = tmp_path / "run"
    shutil.copytree(trained.parent, run_dir)
    before = (run_dir / "last.pt").read_bytes()
    refused(
        "train", cache, "--run-dir", run_dir, "--resume", *QUICK, "--set", "model.depth=34",
        code=1, saying="model.depth = 18, not 34",
    )  # fmt: skip
    assert (run_dir / "last.pt").read_bytes() == before


def test_wrong_settings_write_nothing(cache, tmp_path: Path):
    run_dir = tmp_path / "run"
    train = ("train", cache, "--run-dir", run_dir)
    refused(*train, *QUICK, "--set", "training.epoch=3", code=2, saying="'training.epoch' is not a")
    refused(*train, "--preset", "huge", code=2, saying="'huge' is unknown")
    refused(*train, "--preset", "tiny", code=1, saying="grid_size")
    refused(*train, *QUICK, "--set", "training.steps=40", code=1, saying="fewer than a batch")
    refused(*train, *QUICK, "--device", "abacus", code=2, saying="'abacus' is unknown")
    refused(*train, "--resume", code=2, saying="holds no checkpoint to resume")
    refused(*train, *QUICK, "--config", tmp_path / "no.yaml", code=2, saying="no.yaml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_one_sentence(cache, tmp_path: Path):
    tmp_path.chmod(0o500)
    refused(
        "train", cache, "--run-dir", tmp_path / "run", *QUICK, code=1, saying="Permission denied"
    )
