"""What cannot work is refused before torch is imported, and before anything is written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.cli.model.commands import NETWORK
from tests.dmanet.caches import TEST_A

# Runs the commands in a process of its own, and says which of them had torch imported.
PROGRAM = """
import json, sys
from click.testing import CliRunner
from cli.main import main
answers = []
for arguments in json.load(sys.stdin):
    result = CliRunner().invoke(main, arguments)
    answers.append([result.exit_code, result.stderr, repr(result.exception), "torch" in sys.modules])
json.dump(answers, sys.stdout)
"""


def cases(cache: Path, trained: Path, here: Path) -> list[tuple[list[object], str]]:
    """Commands, and what their answers say."""
    text = here / "notes.pt"
    text.write_text("not a checkpoint")
    torch.save({"state_dict": {"a": torch.zeros(1)}}, here / "released.pth")
    cut = here / "cut.pt"
    cut.write_bytes(trained.read_bytes()[:5000])
    os.mkfifo(here / "pipe")
    taken = here / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("dear reader")
    (here / "empty").mkdir()
    hostile = here / "hostile.yaml"
    hostile.write_text("training: &a {epochs: 1}\nmodel: *a\n")
    out = here / "out"
    train = ["train", cache, "--run-dir", out, "--preset", "tiny"]
    tiny = [*train, *NETWORK]
    evaluate = ["evaluate", cache, "--checkpoint"]
    predict = ["predict", cache, "-o", out, "--checkpoint"]
    one = [*predict, trained, "--recording", TEST_A]
    bench = ["bench", cache, "--preset", "tiny"]
    return [
        (train, "add --set model.grid_size=[64,96] --set model.max_points=3"),
        (train, "or voxelize with --grid 128x128 --max-points 5"),
        (["train", cache, "--run-dir", out, "--preset", "huge"], "'huge' is unknown"),
        ([*tiny, "--set", "training.epoch=1"], "'training.epoch' is not a setting"),
        ([*tiny, "--set", "training.epochs=" + "9" * 40], "training.epochs: "),
        ([*tiny, "--config", hostile], "alias"),
        ([*tiny, "--config", here / "pipe"], "is a pipe"),
        ([*tiny, "--device", "abacus"], "'abacus' is unknown"),
        ([*tiny, "--workers", "9999"], "--workers"),
        ([*tiny, "--resume"], "holds no checkpoint to resume"),
        ([*tiny[:2], "--run-dir", taken, *tiny[4:]], "exists and is not empty"),
        ([*tiny[:2], "--run-dir", "/dev/null", *tiny[4:]], "is a device"),
        ([*tiny[:2], "--run-dir", cache, *tiny[4:]], "would write over"),
        (["train", here / "empty", "--run-dir", out], "not a pillar cache"),
        (["train", text, "--run-dir", out], "is no folder"),
        ([*evaluate, here / "absent.pt"], "absent.pt"),
        ([*evaluate, text], "notes.pt: cannot be read as a checkpoint"),
        ([*evaluate, cut], "cut.pt: cannot be read as a checkpoint"),
        ([*evaluate, here / "released.pth"], "import-weights"),
        ([*evaluate, here / "pipe"], "is a pipe"),
        ([*evaluate, here], "is a folder"),
        ([*evaluate, trained, "--protocol", "rvt"], "two wheeler"),
        ([*evaluate, trained, "--split", "val"], "no windows of the split 'val'"),
        ([*evaluate, trained, "--json", trained], "would write over"),
        ([*evaluate, trained, "--json", "/dev/null"], "is a device"),
        ([*evaluate, trained, "--steps", "5000"], "--steps"),
        (["evaluate", here / "empty", "--checkpoint", trained], "not a pillar cache"),
        ([*predict, trained, "--windows", "0:5"], "--windows needs --recording"),
        ([*one, "--windows", "\u00b2:5"], "within 0:20"),
        ([*one, "--windows", "0:" + "9" * 5000], "within 0:20"),
        ([*predict, trained, "--recording", "test/x/y"], "holds no recording"),
        ([*predict, trained, "--score", "nan"], "--score"),
        ([*predict[:3], taken, *predict[4:], trained], "exists and is not empty"),
        ([*predict[:3], trained, *predict[4:], trained], "give a folder"),
        ([*bench, "--seconds", "-inf"], "--seconds"),
        ([*bench, "--seconds", "nan"], "--seconds"),
        (bench, "add --set model.grid_size=[64,96]"),
        (["export-weights", text, out], "cannot be read as a checkpoint"),
        (["export-weights", trained, trained], "would write over"),
        (["export-weights", trained, here], "is a folder"),
        (["import-weights", text, out], "cannot be read as a checkpoint"),
        (["import-weights", here / "released.pth", out, "--preset", "huge"], "'huge' is unknown"),
        (["import-weights", here / "released.pth", here / "released.pth"], "would write over"),
        (["results", here / "absent"], "absent"),
        (["results", text], "is no folder"),
        (["results", trained.parent, "--evaluation", here / "pipe"], "is a pipe"),
        (["demo", taken], "not empty"),
        (["demo", text], "give a folder"),
    ]  # fmt: skip


def test_wrong_requests_are_answered_before_torch_is_imported(cache, trained, tmp_path: Path):
    copied = tmp_path / "run"
    shutil.copytree(trained.parent, copied)
    before = {path: path.stat().st_size for path in copied.rglob("*")}
    asked = cases(cache, copied / "last.pt", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([[str(a) for a in arguments] for arguments, _ in asked]),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    for (arguments, saying), (code, said, error, has_torch) in zip(
        asked, json.loads(done.stdout), strict=True
    ):
        told = f"{arguments}: {code} {said} {error}"
        assert code in (1, 2), told
        assert error.startswith("SystemExit"), told
        *_, message = said.strip().splitlines()
        assert message.startswith("Error: "), told
        assert saying in message, told
        assert not has_torch, told
    assert not (tmp_path / "out").exists()
    assert {path: path.stat().st_size for path in copied.rglob("*")} == before


@pytest.mark.parametrize("option", ["--json"])
def test_a_result_on_standard_output_is_json_alone(cache, trained, option):
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "evaluate", cache, "--checkpoint", trained, option, "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["protocol"]["name"] == "release"
    assert "protocol name release" in done.stderr
