"""`dmanet` as a user types it: what works, and one sentence for what does not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from cli.main import main
from dmanet.runs.checkpoint import load_checkpoint
from dmanet.runs.weights import load_weights
from tests.dmanet.caches import LONG, TEST_A, make_cache, small_run

NETWORK = [
    part
    for key in ("grid_size", "max_points", "num_classes", "stem_width", "feature_size")
    for part in ("--set", f"model.{key}={json.dumps(getattr(small_run().model, key))}")
]
QUICK = ["--preset", "tiny", *NETWORK, "--set", "training.epochs=1", "--device", "cpu"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def refused(*arguments: object, code: int, saying: str) -> None:
    """The command ends with ``code`` and one sentence on stderr, and prints nothing else."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    assert saying in message


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return Path(make_cache(tmp_path_factory.mktemp("data")).location)


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "one"
    result = run("train", cache, "--run-dir", run_dir, *QUICK)
    assert result.exit_code == 0, result.output
    assert str(run_dir / "last.pt") in result.stdout
    return run_dir / "last.pt"


def test_train_evaluate_and_predict_work_one_after_the_other(cache, trained, tmp_path: Path):
    result = run("evaluate", cache, "--checkpoint", trained, "--json", tmp_path / "result.json")
    assert result.exit_code == 0, result.output
    assert "protocol name release" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["all", "40"] in [row[:2] for row in rows]
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["conditions"]["weights"] == load_weights(trained).fingerprint()

    out = tmp_path / "predictions"
    result = run(
        "predict", cache, "--checkpoint", trained, "--recording", LONG, "--windows", "3:9",
        "--pictures", 2, "--score", 0, "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"{out / LONG}_bbox.npy" in result.stdout
    assert "in 6 windows, 2 pictures" in result.stdout
    assert len(list(out.rglob("*.png"))) == 2
    assert len(np.load(f"{out / LONG}_bbox.npy")) > 0


def test_predict_takes_the_test_split_when_nothing_is_chosen(cache, trained, tmp_path: Path):
    out = tmp_path / "out"
    result = run("predict", cache, "--checkpoint", trained, "--pictures", 0, "-o", out)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == ["a_bbox.npy", "b_bbox.npy"]


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


@pytest.fixture(scope="module")
def released(golden, tmp_path_factory) -> Path:
    """A checkpoint as the released code writes them: zeros of the released names and shapes."""
    listing = json.loads((golden / "fullmodel_names_shapes.json").read_text())["names_shapes"]
    path = tmp_path_factory.mktemp("released") / "released.pth"
    torch.save({"state_dict": {name: torch.zeros(shape) for name, shape in listing}}, path)
    return path


def test_released_weights_become_a_file_that_evaluate_takes(released, cache, tmp_path: Path):
    out = tmp_path / "dmanet18.safetensors"
    result = run("import-weights", released, out)
    assert result.exit_code == 0, result.output
    weights = load_weights(out)
    assert weights.fingerprint() in result.stdout
    assert weights.settings.depth == 18
    assert weights.build().settings == weights.settings
    refused("evaluate", cache, "--checkpoint", out, code=1, saying="grid_size = (64, 96)")


def test_weights_that_do_not_fit_are_refused_and_nothing_is_written(released, tmp_path: Path):
    out = tmp_path / "out.safetensors"
    refused("import-weights", released, out, "--preset", "dmanet34", code=1, saying="missing: ")
    refused(
        "import-weights", released, out, "--set", "num_classes=1", code=1,
        saying="of another shape: ",
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_foreign_cache_is_one_sentence(trained, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("hello")
    for name, code, saying in (
        ("absent", 2, "no such cache"),
        ("empty", 1, "not a pillar cache"),
        ("file", 1, "not a pillar cache"),
    ):
        path = tmp_path / name
        refused("train", path, "--run-dir", tmp_path / "run", *QUICK, code=code, saying=saying)
        refused("evaluate", path, "--checkpoint", trained, code=code, saying=saying)
        refused(
            "predict", path, "--checkpoint", trained, "-o", tmp_path / "p", code=code, saying=saying
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_a_wrong_checkpoint_is_one_sentence(cache, trained, tmp_path: Path):
    text = tmp_path / "notes.pt"
    text.write_text("not a checkpoint")
    short = tmp_path / "short.pt"
    short.write_bytes(trained.read_bytes()[:5000])
    for path, code, saying in (
        (tmp_path / "absent.pt", 2, "no such checkpoint"),
        (tmp_path, 2, "no such checkpoint"),
        (text, 1, "notes.pt: cannot be read as a checkpoint"),
        (short, 1, "short.pt: cannot be read as a checkpoint"),
    ):
        refused("evaluate", cache, "--checkpoint", path, code=code, saying=saying)
        out = tmp_path / "out"
        refused("predict", cache, "--checkpoint", path, "-o", out, code=code, saying=saying)
        assert not out.exists()


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


def test_wrong_choices_end_with_exit_code_2(cache, trained, tmp_path: Path):
    predict = ("predict", cache, "--checkpoint", trained, "-o", tmp_path / "out")
    refused(*predict, "--windows", "0:5", code=2, saying="--windows needs --recording")
    for windows in ("5", "5:", "9:3", "0:21", "-1:3", "a:b"):
        refused(
            *predict, "--recording", TEST_A, f"--windows={windows}", code=2, saying="within 0:20"
        )
    refused(*predict, "--recording", "test/x/y", code=2, saying="holds no recording 'test/x/y'")
    refused(*predict, "--recording", TEST_A, "--split", "test", code=2, saying="exclude each other")
    refused(*predict, "--split", "val", code=2, saying="no windows of the split 'val'")
    refused(*predict, "--score", "2", code=2, saying="'--score'")
    evaluate = ("evaluate", cache, "--checkpoint", trained)
    refused(*evaluate, "--protocol", "coco", code=2, saying="'coco' is not one of")
    refused(*evaluate, "--protocol", "rvt", code=2, saying="two wheeler")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_named(cache, trained):
    refused(
        "evaluate", cache, "--checkpoint", trained, "--device", "cuda", code=2,
        saying="'cuda' is not there",
    )  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_one_sentence(cache, tmp_path: Path):
    tmp_path.chmod(0o500)
    refused(
        "train", cache, "--run-dir", tmp_path / "run", *QUICK, code=1, saying="Permission denied"
    )


@pytest.mark.parametrize("command", [None, *main.commands])
def test_help_has_an_example_and_needs_no_heavy_import(command):
    arguments = ["--help"] if command is None else [command, "--help"]
    program = (
        "import sys; from cli.main import main; main(sys.argv[1:], standalone_mode=False); "
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    *text, modules = done.stdout.strip().splitlines()
    assert not {"torch", "numba", "zarr", "dask", "matplotlib", "numpy"} & set(modules.split())
    if command is not None:
        assert f"dmanet {command}" in " ".join(text[text.index("  Example:") :])
