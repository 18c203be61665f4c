"""Results of runs: read from real run folders, told with their protocol, refused when damaged."""

import json
import os
import shutil
from pathlib import Path

import pytest

from dmanet.evaluation.evaluate import evaluate
from dmanet.evaluation.streaming import StreamSettings
from dmanet.reporting.results import (
    RunResult,
    cache_presets,
    differing_settings,
    read_runs,
)
from dmanet.reporting.tables import (
    NO_EVALUATION,
    class_table,
    plain_results,
    results_table,
    what_to_evaluate,
)
from dmanet.runs.log_lines import LONGEST_LINE
from dmanet.runs.weights import load_weights
from dmanet.training.loop import train
from pipeline.errors import CheckpointError, DataError, SettingsError, UsageError
from tests.dmanet.caches import small_run
from tests.dmanet.training_runs import CPU, lines

STREAM = StreamSettings(CPU, "fp32")


def score(cache, checkpoint: Path, file: Path, protocol: str = "release") -> Path:
    result = evaluate(load_weights(checkpoint), cache, protocol, "test", STREAM)
    file.write_text(result.to_json())
    return file


@pytest.fixture(scope="module")
def two_runs(cache, tmp_path_factory) -> tuple[Path, Path]:
    """An adaptive run with an evaluation, and a plain one of one epoch without."""
    place = tmp_path_factory.mktemp("runs")
    one, two = place / "one", place / "two"
    train(cache, small_run(), one, device=CPU)
    plain = small_run("model.long_memory=plain", "training.epochs=1", "training.seed=3")
    train(cache, plain, two, device=CPU)
    score(cache, one / "last.pt", one / "evaluation.json")
    return one, two


@pytest.fixture
def one(two_runs, tmp_path) -> Path:
    """A copy of the first run, to do harm to."""
    return Path(shutil.copytree(two_runs[0], tmp_path / "one"))


def table_of(runs: list[RunResult], presets=None) -> list[dict[str, str]]:
    """The printed table as its readers' programs see it: a dictionary for each line."""
    header, rule, *rows = results_table(runs, presets or {}).splitlines()
    assert set(rule) == set("|- ")
    cells = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in (header, *rows)]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


def test_a_run_is_what_its_files_say(two_runs):
    run, other = read_runs(two_runs)
    steps = lines(two_runs[0])
    assert (run.epochs, run.steps, run.bad_steps, run.overflows) == (2, len(steps), 0, 0)
    assert run.last_loss == lines(two_runs[0], "epochs.jsonl")[-1]["loss"]
    assert run.settings == small_run()
    assert other.epochs == 1
    tensors = load_weights(two_runs[0] / "last.pt").build().parameters()
    assert run.parameters == sum(tensor.numel() for tensor in tensors)


def test_the_table_tells_what_differs_and_nothing_else(two_runs):
    runs = read_runs(two_runs)
    assert differing_settings(runs) == {
        "model.long_memory": ["adaptive", "plain"],
        "training.epochs": [2, 1],
        "training.seed": [0, 3],
    }
    first, second = table_of(runs)
    assert (first["`model.long_memory`"], second["`model.long_memory`"]) == ("adaptive", "plain")
    assert [key for key in first if "`" in key] == [f"`{k}`" for k in differing_settings(runs)]
    (alone,) = table_of(read_runs(two_runs[:1]))
    assert not any("`" in key for key in alone)


def test_scores_stand_with_their_protocol_and_a_run_without_says_so(two_runs):
    runs = read_runs(two_runs)
    first, second = table_of(runs)
    content = json.loads((two_runs[0] / "evaluation.json").read_text())
    (overall,) = [row for row in content["rows"] if row["name"] == "all"]
    assert (first["protocol"], first["split"]) == ("release", "test")
    assert first["checkpoint"] == "last.pt"
    assert (first["windows"], first["labels"]) == ("40", str(overall["labels"]))
    assert first["mAP@0.5"] == f"{overall['map50']:.3f}"
    assert first["mAP@0.5:0.95"] == f"{overall['map50_95']:.3f}"
    assert second["protocol"] == NO_EVALUATION
    assert {second[key] for key in ("P", "R", "mAP@0.5", "mAP@0.5:0.95", "windows")} == {"–"}
    sentence = what_to_evaluate(runs)
    assert f"--json {two_runs[1] / 'evaluation.json'}" in sentence
    assert len(sentence.splitlines()) == 1


def test_each_evaluation_has_its_line_and_names_the_checkpoint_it_scored(cache, one):
    shutil.copy(one / "last.pt", one / "step-00000001.pt")  # the same weights: no second name
    score(cache, one / "previous.pt", one / "evaluation-previous.json")
    score(cache, one / "last.pt", one / "evaluation-prophesee.json", "prophesee")
    rows = table_of(read_runs([one]))
    told = [(row["protocol"], row["checkpoint"]) for row in rows]
    assert told == [("release", "previous.pt"), ("prophesee", "last.pt"), ("release", "last.pt")]
    assert rows[1]["P"] == "–"  # that protocol has none


def test_a_result_of_weights_that_are_gone_says_so(one, two_runs):
    for path in one.glob("*.pt"):
        path.unlink()
    shutil.copy(two_runs[1] / "last.pt", one / "last.pt")
    (row,) = table_of(read_runs([one]))
    assert row["checkpoint"] == "no longer there"


def test_a_result_elsewhere_finds_its_run_by_the_weights(cache, two_runs, tmp_path):
    file = score(cache, two_runs[1] / "last.pt", tmp_path / "result.json", "prophesee")
    runs = read_runs(two_runs, [file])
    assert [e.file for e in runs[1].evaluations] == [file]
    assert [row["protocol"] for row in table_of(runs)] == ["release", "prophesee"]
    with pytest.raises(UsageError, match=r"result\.json: is a result of the weights"):
        read_runs(two_runs[:1], [file])


def test_a_result_named_twice_counts_once(two_runs):
    (run,) = read_runs(two_runs[:1], [two_runs[0] / "evaluation.json"])
    assert len(run.evaluations) == 1


def test_a_cache_goes_by_its_preset_where_it_is_named(cache, paper_cache, two_runs):
    presets = cache_presets([Path(cache.location), Path(paper_cache.location)])
    assert sorted(presets.values()) == ["paper 96x64", "release 96x64"]
    runs = read_runs(two_runs)
    assert {row["cache"] for row in table_of(runs, presets)} == {"release 96x64"}
    assert {row["cache"] for row in table_of(runs)} == {cache.attributes["fingerprint"][:8]}


def test_scores_on_another_cache_say_which(cache, paper_cache, one):
    content = json.loads((one / "evaluation.json").read_text())
    content["conditions"]["cache"] = paper_cache.attributes["fingerprint"][:16]
    (one / "evaluation.json").write_text(json.dumps(content))
    presets = cache_presets([Path(cache.location), Path(paper_cache.location)])
    (row,) = table_of(read_runs([one]), presets)
    assert row["cache"] == "release 96x64, scored on paper 96x64"


def test_every_class_has_a_column(two_runs):
    header, _, row = class_table(read_runs(two_runs)).splitlines()
    cells = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in (header, row)]
    values = dict(zip(*cells, strict=True))
    assert values["protocol"] == "release"
    content = json.loads((two_runs[0] / "evaluation.json").read_text())
    for row in content["rows"]:
        told = "–" if row["map50"] is None else f"{row['map50']:.3f} / {row['map50_95']:.3f}"
        assert values[row["name"]] == told


def test_json_holds_every_setting_and_the_whole_results(two_runs):
    plain = json.loads(json.dumps(plain_results(read_runs(two_runs), {}), allow_nan=False))
    first, second = plain["runs"]
    written = json.loads((two_runs[0] / "evaluation.json").read_text())
    (held,) = first["evaluations"]
    assert {key: held[key] for key in written} == written
    assert first["settings"] == small_run().model_dump(mode="json")
    assert second["evaluations"] == []
    assert plain["differing"][0] == "model.long_memory"


def test_bad_steps_and_lost_losses_are_told(one):
    step = {**lines(one)[-1], "outcome": "bad loss", "loss": None, "bad_steps": 1}
    epoch = {**lines(one, "epochs.jsonl")[-1], "loss": None}
    with (one / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(step) + "\n")
    with (one / "epochs.jsonl").open("a") as file:
        file.write(json.dumps(epoch) + "\n")
    (row,) = table_of(read_runs([one]))
    assert row["steps"] == str(len(lines(one)) - 1)
    assert (row["bad steps"], row["loss, last epoch"]) == ("1", "–")


def test_a_last_line_cut_short_is_left_out(one):
    whole = read_runs([one])
    with (one / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "outc')
    assert read_runs([one]) == whole


def as_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "harm", "kind", "saying"),
    [
        ("settings.yaml", Path.unlink, UsageError, "is no folder of a run"),
        (
            "settings.yaml",
            lambda path: path.write_text("training: {speed: 3}"),
            SettingsError,
            "settings.yaml: 'training.speed' is not a setting",
        ),
        ("metrics.jsonl", Path.unlink, DataError, "metrics.jsonl: cannot be read"),
        (
            "metrics.jsonl",
            lambda path: path.write_text("{}\n{}\n"),
            DataError,
            "metrics.jsonl, line 1: is no line of a log that `dmanet train` wrote (step: ",
        ),
        (
            "epochs.jsonl",
            lambda path: path.write_text("[1\n" + path.read_text()),
            DataError,
            "epochs.jsonl, line 1: is no line of a log that `dmanet train` wrote (it is not JSON",
        ),
        ("last.pt", cut, CheckpointError, "last.pt: cannot be read as a checkpoint"),
        ("evaluation.json", cut, DataError, "evaluation.json: is not a result"),
        (
            "evaluation.json",
            lambda path: path.write_text('{"rows": []}'),
            DataError,
            "evaluation.json: is not a result that `dmanet evaluate --json` wrote (protocol: ",
        ),
        (
            "evaluation.json",
            lambda path: path.write_text(path.read_text().replace('"split"', '"part"')),
            DataError,
            "evaluation.json: lacks split",
        ),
        ("metrics.jsonl", as_a_pipe, UsageError, "metrics.jsonl: is a pipe"),
        ("settings.yaml", as_a_pipe, UsageError, "settings.yaml: is a pipe"),
        ("evaluation.json", as_a_pipe, UsageError, "evaluation.json: is a pipe"),
        ("metrics.jsonl", as_a_folder, UsageError, "metrics.jsonl: is a folder"),
        (
            "metrics.jsonl",
            lambda path: path.write_bytes(b"x" * (LONGEST_LINE + 1)),
            DataError,
            "metrics.jsonl, line 1: is no line of a log that `dmanet train` wrote (it is longer",
        ),
        (
            "epochs.jsonl",
            lambda path: path.write_text('{"epoch": 0, "loss": NaN}\n'),
            DataError,
            "(NaN is no number of JSON)",
        ),
        (
            "evaluation.json",
            lambda path: path.write_text(path.read_text().replace('"windows": ', '"windows": 1e')),
            DataError,
            "evaluation.json: is not a result",
        ),
        ("evaluation.json", lambda path: path.write_text("[" * 10**5), DataError, "too deeply"),
        (
            "evaluation.json",
            lambda path: path.write_text(path.read_text().replace('"all"', '"none"')),
            DataError,
            "lacks the row of all classes",
        ),
    ],
)
def test_damage_is_one_sentence_that_names_the_file(one, name, harm, kind, saying):
    harm(one / name)
    with pytest.raises(kind) as caught:
        read_runs([one])
    assert saying in str(caught.value)
    assert "\n" not in str(caught.value)
