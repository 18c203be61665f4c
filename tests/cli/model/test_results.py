"""`dmanet results` as a user types it."""

import json
from pathlib import Path

import pytest

from dmanet.training.loop import train
from tests.cli.model.commands import run
from tests.dmanet.caches import make_cache, small_run
from tests.dmanet.training_runs import CPU


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A cache and a run of one epoch on it."""
    folder = tmp_path_factory.mktemp("data")
    train(make_cache(folder), small_run("training.epochs=1"), folder / "one", device=CPU)
    return folder


def test_results_follow_the_advice_they_give(place):
    before = run("results", place / "one")
    assert before.exit_code == 0, before.output
    assert "no evaluation" in before.stdout
    advice = before.stdout.split("`")[1].replace("CACHE", str(place / "cache")).split()
    assert run(*advice[1:]).exit_code == 0
    after = run("results", place / "one", "--cache", place / "cache", "--per-class")
    assert "no evaluation" not in after.stdout
    assert "| release 96x64 |" in after.stdout
    assert "| pedestrian " in after.stdout
    content = json.loads(run("results", place / "one", "--json").stdout)
    assert content["runs"][0]["evaluations"][0]["protocol"]["name"] == "release"


def test_results_refuse_in_one_sentence(place, tmp_path):
    for arguments, code, saying in (
        ((tmp_path,), 2, "is no folder of a run"),
        ((place / "one", "--evaluation", tmp_path / "no.json"), 2, "no.json: No such file"),
        ((place / "one", "--cache", tmp_path), 1, "not a pillar cache"),
        ((), 2, "Missing argument"),
    ):
        result = run("results", *arguments)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        assert saying in result.stderr
