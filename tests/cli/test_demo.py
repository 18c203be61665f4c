"""The demo's steps are commands that exist; what it makes is measured by `benchmarks.learn`."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.demo import STEPS
from cli.main import main
from pipeline.selection.manifest import read_manifest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.arguments.split()[0])
def test_every_step_uses_options_the_command_has(step):
    known = {option for p in step.command().params for option in p.opts}
    assert {a for a in step.arguments.split() if re.match(r"-[a-z-]", a)} <= known
    assert ("--quiet" in known) is step.has_progress  # the demo passes it on
    assert step.has_progress or step.verb == "report"


def test_the_demo_ends_with_the_page_of_its_run():
    assert STEPS[-1].verb == "report"
    assert STEPS[-1].arguments.endswith("-o {out}/run.html")


def test_the_demo_does_not_touch_a_folder_that_holds_something(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear reader")
    result = CliRunner().invoke(main, ["demo", str(tmp_path)])
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_committed_manifest_is_a_subset_that_the_demo_can_repeat():
    manifest = read_manifest(REPOSITORY / "data_manifests" / "demo.json")
    (budget,) = [
        re.search(r"--budget (\d+)MB", s.arguments)[1] for s in STEPS if "subset" in s.arguments
    ]
    assert manifest.subset.budget == int(budget) * 1_000_000
    assert manifest.totals.bytes <= manifest.subset.budget
    assert {row.split for row in manifest.recordings} == {"train", "val", "test"}
