"""A user's own logger: imported for training alone, given numbers, and never the end of a run."""

import sys
from pathlib import Path

import pytest

from dmanet.evaluation.evaluate import evaluate
from dmanet.evaluation.streaming import StreamSettings
from dmanet.runs.loggers import GuardedLogger, import_logger
from dmanet.runs.weights import load_weights
from dmanet.training.loop import train
from pipeline.errors import SettingsError
from tests.dmanet.caches import small_run
from tests.dmanet.training_runs import CPU, TRAIN_A, VAL_A, StopAt, lines, make_cache_of

MODULE = """
import json
print("imported")
def write(step, values, pictures):
    with open({out!r}, "a") as file:
        file.write(json.dumps([step, values, [str(path) for path in pictures.values()]]) + "\\n")
def fail(step, values, pictures):
    raise ValueError("no\\nnetwork")
number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of loggers that Python finds, not imported yet."""
    (tmp_path / "my_loggers.py").write_text(MODULE.format(out=str(tmp_path / "out.jsonl")))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "out.jsonl"
    sys.modules.pop("my_loggers", None)


@pytest.mark.parametrize(
    ("name", "saying"),
    [
        ("no_such_module:write", "ModuleNotFoundError"),
        ("my_loggers:missing", "AttributeError"),
        ("my_loggers:number", "is no function but a int"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence_before_anything_is_written(
    module, tmp_path, name, saying
):
    cache = make_cache_of(tmp_path, (TRAIN_A,))
    settings = small_run(f"training.logger={name}")
    with pytest.raises(SettingsError, match=saying) as caught:
        train(cache, settings, tmp_path / "run", device=CPU)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["os.system", "a:b:c", "a b:c", ":write", "a:", "../a:b", "a:b.c"])
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(SettingsError, match=r"training\.logger"):
        small_run(f"training.logger='{name}'")


def test_it_gets_the_numbers_of_the_log_and_existing_pictures(module, tmp_path):
    cache = make_cache_of(tmp_path, (TRAIN_A, VAL_A))
    run = tmp_path / "run"
    train(
        cache, small_run("training.logger=my_loggers:write", "training.epochs=1"), run, device=CPU
    )
    told = lines(tmp_path, "out.jsonl")
    losses = {step: values["train/loss"] for step, values, _ in told if "train/loss" in values}
    assert losses == {line["step"]: line["loss"] for line in lines(run)}
    (epoch,) = [values for _, values, _ in told if "epoch/loss" in values]
    assert epoch["epoch/loss"] == lines(run, "epochs.jsonl")[0]["loss"]
    pictures = [path for _, _, paths in told for path in paths]
    assert len(pictures) == 4
    assert all(Path(path).is_file() for path in pictures)


def test_one_that_fails_is_told_once_and_the_run_goes_on(module, tmp_path):
    cache = make_cache_of(tmp_path, (TRAIN_A,))
    watcher = StopAt()
    train(
        cache,
        small_run("training.logger=my_loggers:fail", "training.epochs=2"),
        tmp_path / "run",
        device=CPU,
        watcher=watcher,
    )
    (note,) = [note for note in watcher.notes if "logger" in note]
    assert "my_loggers:fail failed at step 0 (ValueError: no network)" in note
    assert len(lines(tmp_path / "run")) > 1


def test_a_checkpoint_that_names_one_imports_nothing_when_it_is_scored(module, tmp_path):
    cache = make_cache_of(tmp_path, (TRAIN_A, VAL_A))
    settings = small_run("training.logger=my_loggers:write", "training.epochs=1")
    train(cache, settings, tmp_path / "run", device=CPU)
    del sys.modules["my_loggers"]
    weights = load_weights(tmp_path / "run" / "last.pt")
    evaluate(weights, cache, "release", "val", StreamSettings(CPU, "fp32"))
    assert "my_loggers" not in sys.modules
    train(cache, None, tmp_path / "run", device=CPU, resume=True)
    assert "my_loggers" in sys.modules  # the run's own settings


def test_a_logger_gets_copies():
    values, seen = {"a": 1.0}, []
    logger = GuardedLogger("x", lambda step, v, p: (v.clear(), seen.append(step)), seen.append)
    logger(7, values, {})
    assert values == {"a": 1.0}
    assert seen == [7]
    assert import_logger("json:dumps")(1) == "1"
