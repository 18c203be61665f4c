"""`dmanet evaluate` with all it can say, and `dmanet compare`, as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.model.commands import refused, run
from tests.dmanet.caches import TEST_A, TEST_B


@pytest.fixture(scope="module")
def result(cache, trained, tmp_path_factory) -> Path:
    """The result of a network, and beside it the pictures of its worst windows."""
    folder = tmp_path_factory.mktemp("result")
    file, pictures = folder / "evaluation.json", folder / "pictures"
    done = run(
        "evaluate", cache, "--checkpoint", trained, "--json", file, "--pictures", pictures,
        "--resamples", 50, "--batch", 2, "--quiet",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "95% intervals over recordings (50 draws of 2, seed 0)" in done.stdout
    return file


def test_the_worst_windows_are_drawn(result):
    worst = json.loads(result.read_text())["details"]["worst"]
    assert {one["recording"] for one in worst} <= {TEST_A, TEST_B}
    names = sorted(path.name for path in (result.parent / "pictures").iterdir())
    assert len(names) == len(worst) == 12
    first = worst[0]
    recording = first["recording"].replace("/", "_")
    assert names[0] == f"worst_01_{recording}_window_{first['window']:05d}.png"


def test_a_result_compares_with_another(cache, trained, result, tmp_path):
    other = tmp_path / "steps.json"
    evaluated = run(
        "evaluate", cache, "--checkpoint", trained, "--json", other, "--resamples", 50, "--steps", 7
    )
    assert evaluated.exit_code == 0, evaluated.output
    compared = run("compare", result.parent, other)
    assert compared.exit_code == 0, compared.output
    assert f"A = {result.parent}" in compared.stdout
    (found,) = json.loads(run("compare", result, other, "--json").stdout)
    assert {"all.map50_95", "car.map50"} <= {one["key"] for one in found["differences"]}


def test_folders_of_boxes_are_scored_without_torch(cache, trained, tmp_path):
    made = run("predict", cache, "--checkpoint", trained, "--pictures", 0, "-o", tmp_path / "dt")
    assert made.exit_code == 0, made.output
    code = (
        "import sys; from cli.main import main; main(sys.argv[1:], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    folders = ("--gt", tmp_path / "dt", "--dt", tmp_path / "dt")
    arguments = ["evaluate", *map(str, folders), "--protocol", "prophesee", "--resamples", "10"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "boxes files, recordings 2" in done.stdout


def test_what_does_not_go_together_is_refused(cache, trained, result, tmp_path):
    folder = result.parent
    refused("evaluate", code=2, saying="Missing argument 'CACHE'; or give two folders")
    refused("evaluate", cache, code=2, saying="Missing option '--checkpoint'")
    refused("evaluate", "--gt", folder, code=2, saying="--gt and --dt go together")
    both = ("evaluate", "--gt", folder, "--dt", folder)
    refused(*both, code=2, saying="has no file NAME_bbox.npy")
    refused(*both, "--split", "val", code=2, saying="--split has no meaning with --gt")
    refused(
        "evaluate", cache, "--gt", folder, "--dt", folder, code=2, saying="CACHE has no meaning"
    )
    refused(
        "evaluate", cache, "--checkpoint", trained, "--pictures", folder, code=2, saying="not empty"
    )
    refused("compare", result, code=2, saying="two results or more")
    (tmp_path / "no.json").write_text("{}")
    refused("compare", result, tmp_path / "no.json", code=1, saying="is not a result")
