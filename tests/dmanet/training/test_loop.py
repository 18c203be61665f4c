import math
import multiprocessing
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from dmanet.recipes import resolve_settings
from dmanet.runs.checkpoint import load_checkpoint, save_checkpoint
from dmanet.training.guards import DivergedError
from dmanet.training.loop import train
from pipeline.errors import CacheError, CheckpointError, DataError, SettingsError, UsageError
from pipeline.tasks.outcomes import Stopped
from tests.dmanet.caches import small_run
from tests.dmanet.training_runs import (
    CPU,
    TRAIN_A,
    TRAIN_B,
    VAL_A,
    DieAt,
    StopAt,
    lines,
    losses,
    make_cache_of,
)

pytestmark = pytest.mark.usefixtures("one_thread")

MODES = ("random", "stream", "mixed")
#: Everything that keeps a state of its own.
FULL = ("training.ema_decay=0.9", "augmentation.flip=0.5")
#: Ways of sampling, and the other forms of memory on streams that come to rest.
STOPS = ("training.sampling=stream", "augmentation.stop=0.5", "augmentation.stop_windows=[1, 3]")
RECIPES = {mode: (f"training.sampling={mode}",) for mode in MODES} | {
    "hold": ("model.long_memory=hold", *STOPS),
    "begun otherwise": (
        "model.first_hidden=zero", "model.forget_bias=2", "model.candidate_init=feature", *STOPS,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(cache, one_thread, tmp_path_factory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "finished"
    train(cache, small_run(), run_dir, device=CPU)
    return run_dir


@pytest.fixture(scope="module")
def short_cache(tmp_path_factory):
    """Twenty windows for training: 6, 8 or 14 steps in two epochs, by the way of sampling."""
    return make_cache_of(tmp_path_factory.mktemp("short_cache"), (TRAIN_A, TRAIN_B))


@pytest.fixture(scope="module")
def finished_in(short_cache, one_thread, tmp_path_factory) -> dict[str, Path]:
    """A run that was never stopped, for each of the recipes."""
    folders = {}
    for name, recipe in RECIPES.items():
        folders[name] = tmp_path_factory.mktemp("runs") / "run"
        train(short_cache, small_run(*recipe, *FULL), folders[name], device=CPU)
    return folders


@pytest.fixture(scope="module")
def val_cache(tmp_path_factory):
    return make_cache_of(tmp_path_factory.mktemp("val_cache"), (TRAIN_A, VAL_A))


def assert_same_run(found: Path, expected: Path) -> None:
    """Two runs logged the same numbers, times apart, and ended in the same state, to the bit."""
    timed = {"data_s", "step_s", "windows_per_s", "memory_gb", "validation_s"}
    for name in ("metrics.jsonl", "epochs.jsonl"):
        for line, wanted in zip(lines(found, name), lines(expected, name), strict=True):
            assert {k: v for k, v in line.items() if k not in timed} == {
                k: v for k, v in wanted.items() if k not in timed
            }
    ours, theirs = (load_checkpoint(folder / "last.pt") for folder in (found, expected))
    assert ours.tally == theirs.tally
    assert ours.best_score == theirs.best_score
    for name, tensor in theirs.model.items():
        assert torch.equal(ours.model[name], tensor), name
    if theirs.average is not None:
        for name, tensor in theirs.average["tensors"].items():
            assert torch.equal(ours.average["tensors"][name], tensor), name


def test_a_run_leaves_settings_metrics_scalars_and_checkpoints(finished, cache):
    assert sorted(p.name for p in finished.iterdir()) == [
        "best.pt",
        "epochs.jsonl",
        "last.pt",
        "metrics.jsonl",
        "previous.pt",
        "sessions.jsonl",
        "settings.yaml",
        "tensorboard",
    ]
    assert resolve_settings("default", finished / "settings.yaml") == small_run()
    assert yaml.safe_load((finished / "settings.yaml").read_text())["training"]["epochs"] == 2
    checkpoint = load_checkpoint(finished / "last.pt")
    steps = 2 * (13 // 2)  # 30 // 3 + 10 // 3 samples, in batches of 2, for two epochs
    assert (checkpoint.epoch, checkpoint.position, checkpoint.step) == (2, 0, steps)
    assert checkpoint.cache == cache.attributes["fingerprint"]
    assert [line["step"] for line in lines(finished)] == list(range(steps))
    assert [line["step"] for line in lines(finished, "epochs.jsonl")] == [steps // 2, steps]


def test_every_step_tells_loss_terms_times_and_learning_rate(finished):
    for count, line in enumerate(lines(finished), start=1):
        assert line["outcome"] == "made"
        assert line["loss"] == pytest.approx(line["classification"] + line["regression"])
        assert line["data_s"] > 0
        assert line["step_s"] > 0
        assert line["windows_per_s"] == pytest.approx(6 / (line["data_s"] + line["step_s"]))
        assert line["learning_rate"] > 0
        assert line["clipped"] == (line["gradient_norm"] > 1.0)
        clipped = sum(earlier["clipped"] for earlier in lines(finished)[:count])
        assert line["clip_rate"] == pytest.approx(clipped / count)
        assert 0.05 < line["memory_gb"] < 50
        assert line["bad_steps"] == 0


def test_training_lowers_the_loss(cache, tmp_path: Path):
    settings = small_run("training.epochs=6", "training.learning_rate=0.003")
    train(cache, settings, tmp_path / "run", device=CPU)
    found = losses(tmp_path / "run")
    assert sum(found[-6:]) < 0.85 * sum(found[:6])  # boxes at random places: only by heart


def test_a_paper_cache_trains_too(paper_cache, tmp_path: Path):
    train(paper_cache, small_run("training.epochs=1"), tmp_path / "run", device=CPU)
    assert all(math.isfinite(loss) for loss in losses(tmp_path / "run"))


def test_equal_runs_have_equal_losses_whatever_the_workers(finished, cache, tmp_path: Path):
    train(cache, small_run(), tmp_path / "again", device=CPU, workers=2)
    assert_same_run(tmp_path / "again", finished)
    train(cache, small_run("training.seed=1"), tmp_path / "other", device=CPU)
    assert losses(tmp_path / "other") != losses(finished)


def test_no_global_random_state_changes_a_run(finished_in, short_cache, tmp_path: Path):
    class Disturber(StopAt):
        def stepped(self, report, total_steps):
            torch.manual_seed(report.step)
            np.random.seed(report.step)  # noqa: NPY002
            random.seed(report.step)

    settings = small_run("training.sampling=mixed", *FULL)
    train(short_cache, settings, tmp_path / "run", device=CPU, watcher=Disturber())
    assert_same_run(tmp_path / "run", finished_in["mixed"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stopped_run_goes_on_to_the_same_losses(finished_in, short_cache, tmp_path: Path, recipe):
    run_dir = tmp_path / "run"
    settings = small_run(*RECIPES[recipe], *FULL)
    for step in (1, 4):  # in the first epoch, and in the second but for streams
        resume = run_dir.exists()
        with pytest.raises(Stopped, match=rf"after step {step + 1} of .*--resume") as raised:
            train(
                short_cache, settings, run_dir, device=CPU, resume=resume, workers=step % 2,
                watcher=StopAt(step),
            )  # fmt: skip
        assert "\n" not in str(raised.value)
        assert len(losses(run_dir)) == step + 1
    train(short_cache, None, run_dir, device=CPU, resume=True)
    assert_same_run(run_dir, finished_in[recipe])


@pytest.mark.parametrize(("mode", "workers"), [("random", 0), ("stream", 1), ("mixed", 0)])
def test_a_killed_run_goes_on_to_the_same_losses(
    finished_in, short_cache, tmp_path: Path, mode, workers
):
    run_dir = tmp_path / "run"
    settings = small_run(f"training.sampling={mode}", *FULL)
    options = {"device": CPU, "workers": workers, "checkpoint_every": 2}
    context = multiprocessing.get_context("fork")
    child = context.Process(
        target=train,
        args=(short_cache, settings, run_dir),
        kwargs={**options, "watcher": DieAt(4)},
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert len(losses(run_dir)) == 5
    assert load_checkpoint(run_dir / "last.pt").step == 4
    train(short_cache, settings, run_dir, resume=True, **options)
    assert_same_run(run_dir, finished_in[mode])


def test_a_run_killed_at_any_moment_of_its_saving_goes_on(finished_in, short_cache, tmp_path: Path):
    run_dir = tmp_path / "run"
    settings = small_run("training.sampling=mixed", *FULL)
    options = {"device": CPU, "checkpoint_every": 1, "keep_every": 3}
    context = multiprocessing.get_context("fork")
    for attempt in range(3):
        child = context.Process(
            target=train,
            args=(short_cache, settings, run_dir),
            kwargs={**options, "resume": run_dir.exists()},
        )
        child.start()
        time.sleep(0.4 + 0.17 * attempt)
        child.kill()
        child.join()
        if not (run_dir / "last.pt").exists():
            shutil.rmtree(run_dir, ignore_errors=True)
    train(short_cache, settings, run_dir, resume=run_dir.exists(), **options)
    assert_same_run(run_dir, finished_in["mixed"])
    kept = sorted(path.name for path in run_dir.glob("step-*.pt"))
    assert kept == [f"step-{step:08d}.pt" for step in range(3, len(losses(run_dir)) + 1, 3)]
    assert not list(run_dir.glob(".*"))


def test_a_truncated_last_checkpoint_falls_back_to_the_one_before_and_says_so(
    finished_in, short_cache, tmp_path: Path
):
    run_dir = tmp_path / "run"
    settings = small_run("training.sampling=stream", *FULL)
    with pytest.raises(Stopped):
        train(short_cache, settings, run_dir, device=CPU, checkpoint_every=2, watcher=StopAt(4))
    whole = (run_dir / "last.pt").read_bytes()
    (run_dir / "last.pt").unlink()
    (run_dir / "last.pt").write_bytes(whole[:-1000])
    watcher = StopAt()
    train(short_cache, settings, run_dir, device=CPU, resume=True, watcher=watcher)
    (note,) = watcher.notes
    assert "last.pt: is damaged or missing; going on from previous.pt" in note
    assert "(step 4)" in note
    assert_same_run(run_dir, finished_in["stream"])


def test_a_metrics_file_cut_in_a_line_does_not_stop_a_resume(finished, cache, tmp_path: Path):
    run_dir = tmp_path / "run"
    with pytest.raises(Stopped):
        train(cache, small_run(), run_dir, device=CPU, watcher=StopAt(8))
    path = run_dir / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 9, "loss')
    train(cache, small_run(), run_dir, device=CPU, resume=True)
    assert_same_run(run_dir, finished)


def test_a_finished_run_has_nothing_left_to_do(finished, cache):
    before = {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    outcome = train(cache, None, finished, device=CPU, resume=True)
    assert before == {p.name: p.read_bytes() for p in finished.iterdir() if p.is_file()}
    assert f"trained 2 epochs in {len(losses(finished))} steps" in str(outcome)


def test_a_run_cannot_be_resumed_with_other_settings_or_another_cache(finished, cache, paper_cache):
    with pytest.raises(CheckpointError, match=r"model\.stem_width = 8, not 16"):
        train(cache, small_run("model.stem_width=16"), finished, device=CPU, resume=True)
    with pytest.raises(CheckpointError, match="a cache of other settings"):
        train(paper_cache, small_run(), finished, device=CPU, resume=True)


def test_a_cache_that_grew_makes_another_run(tmp_path: Path):
    cache = make_cache_of(tmp_path, (TRAIN_A, VAL_A))
    run_dir = tmp_path / "run"
    with pytest.raises(Stopped):
        train(cache, small_run(), run_dir, device=CPU, watcher=StopAt(0))
    grown = make_cache_of(tmp_path, (TRAIN_A, VAL_A, TRAIN_B))
    with pytest.raises(CheckpointError, match=rf"on 2 recordings.*1 more \(such as {TRAIN_B}\)"):
        train(grown, small_run(), run_dir, device=CPU, resume=True)


def test_a_folder_is_neither_overwritten_nor_resumed_by_mistake(finished, cache, tmp_path: Path):
    before = (finished / "last.pt").read_bytes()
    with pytest.raises(UsageError, match="--resume"):
        train(cache, small_run(), finished, device=CPU)
    assert (finished / "last.pt").read_bytes() == before
    with pytest.raises(UsageError, match="holds no checkpoint"):
        train(cache, small_run(), tmp_path / "new", device=CPU, resume=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        (["model.num_classes=7"], CacheError),
        (["model.grid_size=[96, 64]"], CacheError),
        (["training.steps=31"], DataError),
        (["training.sampling=mixed", "training.batch_size=1"], SettingsError),
        (["training.classes=[bus]", "model.num_classes=1"], CacheError),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(cache, tmp_path: Path, overrides, error):
    with pytest.raises(error):
        train(cache, small_run(*overrides), tmp_path / "run", device=CPU)
    assert not (tmp_path / "run").exists()


def test_a_network_that_has_diverged_stops_in_one_sentence_with_sound_weights(
    cache, tmp_path: Path
):
    settings = small_run("training.learning_rate=1e30", "training.warmup_epochs=0")
    run_dir = tmp_path / "run"
    with pytest.raises(DivergedError, match=r"after 3 bad steps in a row.*train/.*00/") as raised:
        train(cache, settings, run_dir, device=CPU, max_bad_steps=3)
    assert raised.value.exit_code == 1
    assert "\n" not in str(raised.value)
    found = lines(run_dir)
    bad = [line for line in found if line["outcome"].startswith("bad")]
    assert [line["step"] for line in found[-3:]] == [line["step"] for line in bad[-3:]]
    assert found[-1]["bad_steps"] == len(bad)
    assert bad[0]["bad_step"]["windows"]
    weights = load_checkpoint(run_dir / "last.pt").model
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_a_run_stopped_by_bad_steps_goes_on_from_its_last_good_state(cache, tmp_path: Path):
    run_dir = tmp_path / "run"
    settings = small_run("training.sampling=stream")
    with pytest.raises(Stopped):
        train(cache, settings, run_dir, device=CPU, watcher=StopAt(2))
    checkpoint = load_checkpoint(run_dir / "last.pt")
    lost = tuple(
        replace(level, hidden=torch.full_like(level.hidden, math.nan))
        for level in checkpoint.carried
    )
    save_checkpoint(run_dir / "last.pt", replace(checkpoint, carried=lost))
    with pytest.raises(DivergedError):
        train(cache, settings, run_dir, device=CPU, resume=True, max_bad_steps=1)
    stopped = load_checkpoint(run_dir / "last.pt")
    assert (stopped.step, stopped.position) == (4, 4)
    for name, tensor in checkpoint.model.items():
        assert torch.equal(stopped.model[name], tensor), name
    outcome = train(cache, settings, run_dir, device=CPU, resume=True, max_bad_steps=1)
    assert [line["outcome"] for line in lines(run_dir)].count("bad loss") == 1
    assert lines(run_dir)[-1]["outcome"] == "made"
    assert "1 more were skipped" in str(outcome)


def test_the_best_epoch_is_the_one_that_scores_best_on_val(val_cache, tmp_path: Path):
    settings = small_run("training.epochs=3", "training.learning_rate=0.003", "training.steps=2")
    train(val_cache, settings, tmp_path / "run", device=CPU)
    epochs = lines(tmp_path / "run", "epochs.jsonl")
    assert {line["score_of"] for line in epochs} == {"mAP@0.5:0.95 on val, protocol release"}
    scores = [line["score"] for line in epochs]
    assert all(0 <= score <= 1 for score in scores)
    assert [line["best"] for line in epochs] == [
        all(score > earlier for earlier in scores[:i]) for i, score in enumerate(scores)
    ]
    best = load_checkpoint(tmp_path / "run" / "best.pt")
    assert best.epoch == scores.index(max(scores)) + 1
    assert best.best_score == max(scores)


def test_validation_leaves_no_trace_in_the_run(val_cache, tmp_path: Path):
    settings = ("training.epochs=2", "training.steps=2", "training.sampling=stream", *FULL)
    for name, every in (("always", 1), ("never", 0)):
        run = small_run(*settings, f"training.validate_every={every}")
        train(val_cache, run, tmp_path / name, device=CPU)
    assert losses(tmp_path / "always") == losses(tmp_path / "never")
    assert all(line["validation_s"] > 0 for line in lines(tmp_path / "always", "epochs.jsonl"))
    for line in lines(tmp_path / "never", "epochs.jsonl"):
        assert line["score"] == pytest.approx(-line["loss"])
        assert line["score_of"].endswith("as training.validate_every is 0")


def test_a_run_stopped_in_its_validation_repeats_only_that(val_cache, tmp_path: Path):
    class StopInValidation(StopAt):
        def validated(self, windows: int) -> None:
            self.step = -math.inf

    settings = small_run("training.epochs=1")
    train(val_cache, settings, tmp_path / "whole", device=CPU)
    with pytest.raises(Stopped):
        train(val_cache, settings, tmp_path / "run", device=CPU, watcher=StopInValidation())
    assert len(losses(tmp_path / "run")) == len(losses(tmp_path / "whole"))
    train(val_cache, settings, tmp_path / "run", device=CPU, resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_without_labels_in_val_the_best_epoch_has_the_least_loss(finished):
    epochs = lines(finished, "epochs.jsonl")
    why = "as the cache has no labels of these classes in val"
    assert all(line["score_of"].endswith(why) for line in epochs)
    means = [sum(losses(finished)[6 * e : 6 * e + 6]) / 6 for e in range(2)]
    assert [line["loss"] for line in epochs] == pytest.approx(means)
    best = load_checkpoint(finished / "best.pt")
    assert best.epoch == means.index(min(means)) + 1


def test_validation_can_be_rarer_than_epochs_and_always_ends_a_run(val_cache, tmp_path: Path):
    settings = small_run("training.epochs=3", "training.validate_every=2")
    train(val_cache, settings, tmp_path / "run", device=CPU)
    scores = [line["score"] for line in lines(tmp_path / "run", "epochs.jsonl")]
    assert [score is None for score in scores] == [True, False, False]


def test_a_run_on_some_classes_learns_and_states_those(cache, tmp_path: Path):
    settings = small_run(
        "training.classes=[traffic sign, car]", "model.num_classes=2", "training.epochs=1"
    )
    train(cache, settings, tmp_path / "run", device=CPU)
    checkpoint = load_checkpoint(tmp_path / "run" / "last.pt")
    assert checkpoint.classes == settings.training.classes
    assert checkpoint.weights().build().settings.num_classes == 2
