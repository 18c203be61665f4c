"""`dmanet report` as a user types it."""

import json
import shutil
from pathlib import Path

import pytest

from dmanet.training.loop import train
from tests.cli.model.commands import run
from tests.dmanet.caches import make_cache, small_run
from tests.dmanet.training_runs import CPU
from tests.pipeline.pages import Page


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A cache and a run of one epoch on it."""
    folder = tmp_path_factory.mktemp("data")
    train(make_cache(folder), small_run("training.epochs=1"), folder / "one", device=CPU)
    return folder


def test_the_page_follows_the_advice_it_gives(place):
    before = run("report", place / "one")
    assert before.exit_code == 0, before.output
    page = place / "one" / "report.html"
    assert before.stdout == f"{page}: report on {place / 'one'}.\n"
    advice = Page(page.read_text()).text.split("`")[1].replace("CACHE", str(place / "cache"))
    made = run(*advice.split()[1:], "--pictures", place / "one" / "worst", "--resamples", "20")
    assert made.exit_code == 0, made.output
    assert run("report", place / "one", "-o", place / "page.html").exit_code == 0
    text = Page((place / "page.html").read_text()).text
    result = json.loads((place / "one" / "evaluation.json").read_text())
    assert "no evaluation" not in text
    assert "The worst windows of the evaluation" in text
    assert f"mAP@0.5:0.95 {result['rows'][0]['map50_95']:.3f}" in text


def test_what_is_wrong_is_one_sentence_and_nothing_is_written(place, tmp_path):
    damaged = shutil.copytree(place / "one", tmp_path / "damaged")
    (damaged / "metrics.jsonl").write_text("{}\n")
    page = tmp_path / "page.html"
    for arguments, code, saying in (
        ((tmp_path,), 2, "is no folder of a run"),
        ((damaged,), 1, "metrics.jsonl, line 1"),
        ((place / "one", "--result", tmp_path / "no.json"), 2, "no.json: No such file"),
        ((place / "one", "--pictures", tmp_path / "none"), 2, "none: No such file"),
        ((), 2, "Missing argument"),
    ):
        result = run("report", *arguments, "-o", page)
        assert result.exit_code == code, result.output
        assert saying in result.stderr
        assert "Traceback" not in result.stderr
        assert not page.exists()
