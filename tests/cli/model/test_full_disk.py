"""Commands of the network on a disk that is full, or may not be written: one sentence, nothing lost."""

import os
import tempfile
from pathlib import Path

import pytest

from dmanet.runs.checkpoint import load_checkpoint
from tests.cli.model.commands import QUICK, run
from tests.dmanet.limits import files_of_at_most

NOBODY = 65534


def failed(result, path: Path) -> None:
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "File too large" in message
    assert str(path) in message
    assert "Traceback" not in result.output


def test_a_new_run_on_a_full_disk_leaves_no_half_of_a_checkpoint(cache, tmp_path: Path):
    run_dir = tmp_path / "run"
    with files_of_at_most(20_000):
        failed(run("train", cache, "--run-dir", run_dir, *QUICK, "--quiet"), run_dir / "last.pt")
    assert not run_dir.exists()
    again = run("train", cache, "--run-dir", run_dir, *QUICK, "--quiet")
    assert again.exit_code == 0, again.output


def test_a_run_on_a_disk_that_fills_keeps_its_checkpoint_and_resumes(cache, tmp_path: Path):
    run_dir = tmp_path / "run"
    train = ("train", cache, "--run-dir", run_dir, "--quiet")
    begun = run(*train, *QUICK, "--set", "training.epochs=3", "--set", "training.seed=3")
    assert begun.exit_code == 0, begun.output
    log = (run_dir / "metrics.jsonl").read_bytes()
    (run_dir / "last.pt").unlink()  # one epoch back
    whole = load_checkpoint(run_dir / "previous.pt")
    with files_of_at_most(whole_size := (run_dir / "previous.pt").stat().st_size - 1000):
        result = run(*train, "--resume")
    assert result.exit_code == 1, result.output
    assert "File too large" in result.stderr.splitlines()[-1]
    assert whole_size > len(log)
    assert load_checkpoint(run_dir / "previous.pt").step == whole.step
    resumed = run(*train, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert load_checkpoint(run_dir / "last.pt").epoch == 3


@pytest.mark.parametrize("name", ["predict", "export-weights", "evaluate"])
def test_what_is_written_is_whole_or_not_there(cache, trained, tmp_path: Path, name):
    out = tmp_path / "out"
    commands = {
        "predict": ("predict", cache, "--checkpoint", trained, "--score", 0, "-o", out),
        "export-weights": ("export-weights", trained, out),
        "evaluate": ("evaluate", cache, "--checkpoint", trained, "--json", out),
    }
    with files_of_at_most(300):
        failed(run(*commands[name]), out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_may_not_be_written_is_refused_before_any_work(cache):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        run_dir = Path(folder) / "run"
        os.setresuid(NOBODY, NOBODY, 0)
        try:
            result = run("train", "--run-dir", run_dir, cache)
        finally:
            os.setresuid(0, 0, 0)
    assert result.exit_code == 2, result.output
    *_, message = result.stderr.strip().splitlines()
    assert message.startswith("Error: ")
    assert f"{folder}: cannot be written" in message
