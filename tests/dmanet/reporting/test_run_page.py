"""The page of a run: whole, alone, and true to the run's own files."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dmanet.evaluation.details import Resampling
from dmanet.evaluation.evaluate import evaluate
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.streaming import StreamSettings
from dmanet.reporting.results import EVALUATION_NAME
from dmanet.reporting.run_charts import _joined
from dmanet.reporting.run_page import render_run
from dmanet.reporting.run_source import read_run_source
from dmanet.reporting.worst_pictures import draw_worst_windows
from dmanet.runs.weights import load_weights
from dmanet.training.loop import train
from pipeline.errors import DataError, PipelineError, UsageError
from pipeline.tasks.outcomes import Stopped
from tests.dmanet.caches import make_cache, small_run
from tests.dmanet.training_runs import CPU, StopAt, lines
from tests.pipeline.pages import Page


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    """A run that was stopped and went on, with an evaluation and pictures of its worst windows."""
    folder = tmp_path_factory.mktemp("page")
    cache, run = make_cache(folder), folder / "one <b>run</b>"
    settings = small_run("training.epochs=1")
    with pytest.raises(Stopped):
        train(cache, settings, run, device=CPU, watcher=StopAt(1))
    train(cache, settings, run, device=CPU, resume=True)
    weights, stream = load_weights(run / "last.pt"), StreamSettings(CPU, "fp32")
    examination = Examination(Resampling(50), worst=3)
    result = evaluate(weights, cache, "release", "test", stream, examination=examination)
    (run / EVALUATION_NAME).write_text(result.to_json())
    worst = result.details.worst
    draw_worst_windows(weights, cache, worst, 0.1, result.protocol, stream, run / "worst")
    return run


@pytest.fixture
def copy(run_dir, tmp_path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(run_dir, tmp_path / "copy")


def page_of(run: Path, result: Path | None = None, pictures: Path | None = None) -> str:
    return render_run(read_run_source(run, result), pictures)


@pytest.fixture(scope="module")
def html(run_dir) -> str:
    return page_of(run_dir)


def test_page_stands_alone_and_tells_its_figures_in_words(html):
    page = Page(html)
    assert not page.all("script")
    assert not page.all("link")
    assert not re.search(r"@import|url\((?!#)|https?://", html)
    for address in page.values("href") + page.values("src"):
        assert address.startswith(("#", "data:"))
    charts = [a for a in page.all("svg") if a.get("class") == "chart"]
    assert len(charts) >= 10
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    pictures = page.all("img")
    assert len(pictures) == 3
    assert all(re.search(r"labels missed, \d+ wrong", picture["alt"]) for picture in pictures)
    assert "<b>run</b>" not in html
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [address for address in page.values("href") if address.startswith("#")]
    assert {address[1:] for address in links} <= set(ids)


def test_numbers_are_those_of_the_result(html, run_dir):
    result = json.loads((run_dir / EVALUATION_NAME).read_text())
    text, of = Page(html).text, result["details"]["intervals"]["of"]
    for row in result["rows"]:
        for key in ("precision", "recall", "map50", "map50_95"):
            if row[key] is not None:
                cell, interval = f"{row[key]:.3f}", of.get(f"{row['name']}.{key}")
                if interval:
                    cell += f" [{interval['low']:.3f}, {interval['high']:.3f}]"
                assert cell in text
    for row in result["details"]["recordings"]:
        numbers = [str(row[k]) for k in ("windows", "labels", "detections")]
        numbers += ["–" if row[k] is None else f"{row[k]:.3f}" for k in ("map50", "map50_95")]
        assert re.search(
            rf"{row['name']} {' '.join(numbers[:3])} \S+ \S+ {' '.join(numbers[3:])}", text
        )
    errors = " ".join(str(n) for n in result["details"]["errors"].values())
    assert f"all {errors}" in text
    told = "; ".join(
        f"{name} as " + ", ".join(f"{other} {n}" for other, n in zip(names, row, strict=True))
        for names in [result["details"]["confusion"]["names"]]
        for name, row in zip(names, result["details"]["confusion"]["counts"], strict=True)
        if all(any(r) for r in result["details"]["confusion"]["counts"])
    )
    assert told in html


def test_numbers_are_those_of_the_logs_the_settings_and_the_sessions(html, run_dir):
    text = Page(html).text
    (epoch,) = lines(run_dir, "epochs.jsonl")
    assert f"1 {epoch['step']} {epoch['loss']:.3f}" in text
    made = sum(line["outcome"] == "made" for line in lines(run_dir))
    assert f"steps made {made} 0 skipped" in text
    sessions = lines(run_dir, "sessions.jsonl")
    assert [one["step"] for one in sessions] == [0, 2]
    assert "It went on 1 time after" in text
    assert all(f"torch {one['torch']}" in text and one["device"] in text for one in sessions)
    assert "learning_rate 0.002" in text
    assert "grid_size 64, 96" in text


def test_curves_keep_mean_and_range_of_the_steps():
    rng = np.random.default_rng(3)
    values = [None if rng.random() < 0.1 else float(v) for v in rng.normal(size=1000)]
    place, mean, low, high = _joined(range(1000), values)
    assert len(place) == 150
    found = [v for v in values if v is not None]
    assert low.min() == min(found)
    assert high.max() == max(found)
    assert (low <= mean + 1e-12).all()
    assert (mean <= high + 1e-12).all()
    edges = np.unique(np.linspace(0, len(found), 150, endpoint=False).astype(int)).tolist()
    for k, (start, stop) in enumerate(zip(edges, [*edges[1:], len(found)], strict=True)):
        assert mean[k] == pytest.approx(sum(found[start:stop]) / (stop - start))


def test_a_run_without_evaluation_or_sessions_says_what_to_do(copy):
    for name in (EVALUATION_NAME, "sessions.jsonl"):
        (copy / name).unlink()
    shutil.rmtree(copy / "worst")
    text = Page(page_of(copy)).text
    assert "has no evaluation; `dmanet evaluate" in text
    assert "before runs kept what they were made on" in text
    assert "Pictures" not in text


def test_an_unfinished_run_and_its_skipped_steps_are_told(copy):
    step = {**lines(copy)[0], "step": 2, "outcome": "bad loss", "loss": None, "bad_steps": 1}
    step["bad_step"] = {
        "outcome": "bad loss",
        "terms": {"classification": "nan", "regression": 2.5},
        "gradient_norms": {},
        "windows": ["train/a 0…3 <i>"],
    }
    (copy / "metrics.jsonl").write_text(json.dumps(lines(copy)[0]) + "\n" + json.dumps(step) + "\n")
    (copy / "epochs.jsonl").write_text("")
    html = page_of(copy)
    text = Page(html).text
    assert "not finished: 0 of 1 epoch" in text
    assert "2 1 bad loss classification nan, regression 2.5 – train/a 0…3 <i>" in text
    (copy / "metrics.jsonl").write_text("")
    assert "No step is made yet" in Page(page_of(copy)).text


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("metrics.jsonl", '{"step": "one"}\n', DataError),
        ("epochs.jsonl", '{"epoch": 0, "loss": 1.0, "score": "high"}\n', DataError),
        ("sessions.jsonl", "[]\n", DataError),
        ("last.pt", "nothing", PipelineError),
        (EVALUATION_NAME, "{}", DataError),
        ("worst/worst_00.png", "no picture", DataError),
    ],
)
def test_damage_is_one_sentence_that_names_the_file(copy, name, content, kind):
    (copy / name).write_text(content)
    with pytest.raises(kind) as caught:
        page_of(copy)
    assert str(copy / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_result_of_other_weights_and_a_folder_of_no_run_are_refused(copy, tmp_path):
    result = json.loads((copy / EVALUATION_NAME).read_text())
    result["conditions"]["weights"] = "0" * 16
    (tmp_path / "other.json").write_text(json.dumps(result))
    with pytest.raises(UsageError, match="which no checkpoint"):
        page_of(copy, tmp_path / "other.json")
    with pytest.raises(UsageError, match="no folder of a run"):
        page_of(tmp_path)
    (copy / EVALUATION_NAME).write_text(json.dumps(result))
    assert "are of weights that the folder no longer holds" in page_of(copy)


@pytest.mark.parametrize("part", ["confusion", "curves", "errors"])
def test_a_result_whose_lists_do_not_fit_each_other_is_refused(copy, part):
    result = json.loads((copy / EVALUATION_NAME).read_text())
    details = result["details"]
    if part == "confusion":
        details["confusion"]["counts"][0].pop()
    elif part == "curves":
        details["curves"]["classes"][0]["f1"].pop()
    else:
        next(iter(details["errors_by_class"].values())).pop("missed")
    (copy / EVALUATION_NAME).write_text(json.dumps(result))
    with pytest.raises(DataError, match=f"contradicts itself in its {part}"):
        page_of(copy)


def test_a_picture_tells_its_own_description_and_is_made_small(tmp_path, copy):
    shutil.rmtree(copy / "pictures", ignore_errors=True)
    (copy / "pictures").mkdir()
    Image.new("RGB", (2000, 1000)).save(copy / "pictures" / "val_a_window_00001.png")
    (picture,) = [i for i in Page(page_of(copy)).all("img") if "val a window" in i["alt"]]
    assert (picture["width"], picture["height"]) == ("640", "320")
