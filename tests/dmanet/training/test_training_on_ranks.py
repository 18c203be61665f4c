"""Two processes train and judge as one with their batches joined."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import make_sampler
from dmanet.evaluation.evaluate import evaluate
from dmanet.evaluation.streaming import StreamSettings
from dmanet.ranks import ALONE, RankError
from dmanet.runs.checkpoint import load_checkpoint, save_checkpoint
from dmanet.runs.records import Weights
from dmanet.training.guards import DivergedError
from dmanet.training.loop import train
from dmanet.training.step import Trainer
from pipeline.errors import CheckpointError, DataError
from pipeline.tasks.outcomes import Stopped
from tests.dmanet.caches import LONG, NAMED, SMALL, TEST_A, make_cache, small_run
from tests.dmanet.ranks import on_ranks
from tests.dmanet.training_runs import (
    CPU,
    TRAIN_A,
    TRAIN_B,
    VAL_A,
    StopAt,
    lines,
    losses,
    make_cache_of,
)

pytestmark = pytest.mark.usefixtures("one_thread")

#: Adam turns the rounding of tiny gradients into steps of full length; at a rate this low a few of
#: them change no loss in its fourth digit.
FULL = ("training.ema_decay=0.9", "augmentation.flip=0.5", "training.learning_rate=1e-4")


def settings_of(mode: str, batch: int, *overrides: str):
    return small_run(f"training.sampling={mode}", f"training.batch_size={batch}", *FULL, *overrides)


def train_on(ranks, cache, settings, run_dir, stop_at=None, **options):
    """One rank's run; with ``stop_at``, a rank and a step, that rank asks to stop there."""
    stopping = stop_at is not None and stop_at[0] == ranks.rank
    watcher = StopAt(stop_at[1] if stopping else math.inf)
    train(cache, settings, run_dir, device=CPU, ranks=ranks, watcher=watcher, **options)


def assert_close_runs(found: Path, expected: Path) -> None:
    assert losses(found) == pytest.approx(losses(expected), rel=1e-4)
    for line, wanted in zip(lines(found), lines(expected), strict=True):
        for key in ("classification", "regression", "gradient_norm"):
            assert line[key] == pytest.approx(wanted[key], rel=1e-3)
    ours, theirs = (load_checkpoint(folder / "last.pt") for folder in (found, expected))
    assert ours.tally.made == theirs.tally.made == len(losses(expected))
    for name, tensor in theirs.model.items():
        if "running" in name:
            scale = tensor.abs().max().item()
            torch.testing.assert_close(ours.model[name], tensor, rtol=1e-3, atol=1e-3 * scale)
    for level, wanted in zip(ours.carried, theirs.carried, strict=True):
        assert level.hidden.shape == wanted.hidden.shape
        torch.testing.assert_close(level.feature, wanted.feature, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("mode", "overrides"),
    [
        ("random", ()),
        ("random", ("model.pillar_batch_norm=sample",)),
        ("stream", ()),  # ten windows a slot, three at a time: the last ones do not count
        ("stream", ("training.activation_checkpointing=true",)),
        ("mixed", ()),
        ("stream", ("model.long_memory=hold", "augmentation.stop=0.3")),
    ],
)
def test_two_ranks_have_the_losses_of_one_process_with_the_doubled_batch(
    cache, tmp_path: Path, mode, overrides
):
    """One rank of `mixed` has the random slots, the other the streams and their state."""
    train(cache, settings_of(mode, 4, *overrides), tmp_path / "one", device=CPU)
    settings = settings_of(mode, 2, *overrides)
    assert on_ranks(train_on, cache, settings, tmp_path / "two") == [None, None]
    assert_close_runs(tmp_path / "two", tmp_path / "one")


def first_steps(ranks, cache, settings, steps):
    """What became of each of the first steps, its gradients, and all weights after them."""
    recipe = settings.training
    sampler = make_sampler(
        recipe.sampling, {LONG: 30, SMALL: 10}, recipe.steps, recipe.batch_size, recipe.seed,
        rank=ranks.rank, ranks=ranks.world_size,
    )  # fmt: skip
    trainer = Trainer(settings, CPU, len(sampler), ranks=ranks)
    outcomes, gradients = [], []
    for batch, _ in zip(BatchLoader(cache, sampler), range(steps), strict=False):
        outcomes.append(trainer.make_step(batch, 0.0).outcome)
        gradients.append({n: p.grad.clone() for n, p in trainer.model.named_parameters()})
    return outcomes, gradients, trainer.model.state_dict()


@pytest.mark.parametrize("mode", ["random", "mixed"])
def test_two_ranks_have_the_gradients_of_one_process_with_the_doubled_batch(cache, mode):
    low = ("training.learning_rate=1e-12", "training.gradient_clip=1e9")
    _, expected, _ = first_steps(ALONE, cache, settings_of(mode, 4, *low), 2)
    ranks = on_ranks(first_steps, cache, settings_of(mode, 2, *low), 2)
    found = [gradients for _, gradients, _ in ranks]
    for first, second, wanted in zip(*found, expected, strict=True):
        whole = math.sqrt(sum(gradient.square().sum().item() for gradient in wanted.values()))
        for name, gradient in wanted.items():
            assert torch.equal(first[name], second[name])
            # A value at the bend of a ReLU may fall on either side: little gradient, and seldom.
            allowed = 1e-3 * gradient.norm().item() + 1e-6 * whole
            assert (first[name] - gradient).norm().item() < allowed, name


def test_ranks_skip_the_same_steps_and_keep_the_same_weights_in_float16(cache):
    settings = settings_of("mixed", 2, "training.precision=fp16")
    first, second = on_ranks(first_steps, cache, settings, 4)
    assert first[0] == second[0]
    assert first[0][0] == "overflow"
    assert first[0][-1] == "made"
    for name, tensor in first[2].items():
        assert torch.equal(second[2][name], tensor), name


def test_samples_of_one_window_and_batches_of_one(tmp_path: Path):
    """The rank of the random slots has no use for some weights, as it never has a memory."""
    cache = make_cache_of(tmp_path, (TRAIN_A, TRAIN_B))
    shape = ("training.steps=1", "training.epochs=1")
    train(cache, settings_of("mixed", 2, *shape), tmp_path / "one", device=CPU)
    settings = settings_of("mixed", 1, *shape)
    assert on_ranks(train_on, cache, settings, tmp_path / "two") == [None, None]
    found, expected = losses(tmp_path / "two"), losses(tmp_path / "one")
    assert len(found) == len(expected) == 20
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_run_that_one_rank_stopped_goes_on_to_the_same_losses(cache, tmp_path: Path):
    settings = settings_of("stream", 2)
    assert on_ranks(train_on, cache, settings, tmp_path / "whole") == [None, None]
    run_dir = tmp_path / "run"
    stopped = on_ranks(train_on, cache, settings, run_dir, (1, 2))
    assert all(isinstance(error, Stopped) for error in stopped)
    assert "after step 3 of 8" in str(stopped[0])
    checkpoint = load_checkpoint(run_dir / "last.pt")
    assert (checkpoint.step, checkpoint.settings.training.ranks) == (3, 2)
    assert checkpoint.carried[0].hidden.shape[0] == 4  # of both ranks' slots

    with pytest.raises(CheckpointError, match="by 2 processes, not 1; resume with as many"):
        train(cache, None, run_dir, device=CPU, resume=True)
    assert len(losses(run_dir)) == 3

    assert on_ranks(resume_on, cache, run_dir) == [None, None]
    assert losses(run_dir) == losses(tmp_path / "whole")
    ours, theirs = (load_checkpoint(d / "last.pt") for d in (run_dir, tmp_path / "whole"))
    for name, tensor in theirs.model.items():
        assert torch.equal(ours.model[name], tensor), name


def resume_on(ranks, cache, run_dir, max_bad_steps=10):
    train(cache, None, run_dir, device=CPU, resume=True, ranks=ranks, max_bad_steps=max_bad_steps)


def test_a_bad_step_of_one_rank_is_skipped_by_all(cache, tmp_path: Path):
    run_dir = tmp_path / "run"
    on_ranks(train_on, cache, settings_of("stream", 2), run_dir, (0, 1))
    checkpoint = load_checkpoint(run_dir / "last.pt")
    lost = checkpoint.carried[1].hidden.clone()
    lost[3] = math.nan  # a slot of the second rank
    level = replace(checkpoint.carried[1], hidden=lost)
    carried = (checkpoint.carried[0], level, checkpoint.carried[2])
    save_checkpoint(run_dir / "last.pt", replace(checkpoint, carried=carried))
    diverged = on_ranks(resume_on, cache, run_dir, 1)
    assert [type(error) for error in diverged] == [DivergedError, RankError]
    assert "\n" not in str(diverged[0])
    line = lines(run_dir)[-1]
    assert line["outcome"] == "bad loss"
    assert len(line["bad_step"]["windows"]) == 4  # of both ranks
    after = load_checkpoint(run_dir / "last.pt")
    assert after.carried is None
    for name, tensor in checkpoint.model.items():
        assert torch.equal(after.model[name], tensor), name


def test_ranks_validate_together(tmp_path: Path):
    cache = make_cache_of(tmp_path, (TRAIN_A, TRAIN_B, VAL_A))
    train(cache, settings_of("random", 4), tmp_path / "one", device=CPU)
    assert on_ranks(train_on, cache, settings_of("random", 2), tmp_path / "two") == [None, None]
    found, expected = (lines(tmp_path / name, "epochs.jsonl") for name in ("two", "one"))
    for line, wanted in zip(found, expected, strict=True):
        assert line["score_of"] == "mAP@0.5:0.95 on val, protocol release"
        assert line["score"] == pytest.approx(wanted["score"], abs=1e-3)
        assert line["best"] == wanted["best"]


@pytest.fixture(scope="module")
def weights(lively_model) -> Weights:
    model = lively_model(small_run().model)
    with torch.no_grad():
        model.class_head.output.bias += 3  # so that boxes pass
    return Weights(model.settings, model.state_dict(), NAMED, "the test's weights")


def evaluate_on(ranks, weights, cache, protocol):
    counts = []
    stream = StreamSettings(CPU, "fp32")
    result = evaluate(weights, cache, protocol, "test", stream, counts.append, ranks)
    return result, sum(counts)


@pytest.mark.parametrize("protocol", ["release", "prophesee"])
def test_ranks_score_what_one_process_scores(weights, cache, protocol):
    alone, windows = evaluate_on(ALONE, weights, cache, protocol)
    assert windows == 40
    found = on_ranks(evaluate_on, weights, cache, protocol, ranks=3)  # of two recordings
    assert sorted(count for _, count in found) == [0, 20, 20]
    for result, _ in found:
        assert result.conditions == alone.conditions
        for row, wanted in zip(result.rows, alone.rows, strict=True):
            assert (row.name, row.windows, row.labels) == (
                wanted.name,
                wanted.windows,
                wanted.labels,
            )
            assert row.map50 == pytest.approx(wanted.map50, abs=1e-4)
            assert row.map50_95 == pytest.approx(wanted.map50_95, abs=1e-4)


def test_a_recording_that_one_rank_cannot_read_ends_all(weights, tmp_path: Path):
    cache = make_cache(tmp_path)
    chunks = [p for p in (Path(cache.location) / TEST_A / "pillars").rglob("*") if p.is_file()]
    for chunk in chunks:
        if chunk.name != "zarr.json":
            chunk.write_bytes(chunk.read_bytes()[:20])
    ends = on_ranks(evaluate_on, weights, cache, "release")
    assert sorted(type(end).__name__ for end in ends)[1] == "RankError"
    (told,) = [end for end in ends if not isinstance(end, RankError)]
    assert isinstance(told, DataError)
    assert TEST_A in str(told)
