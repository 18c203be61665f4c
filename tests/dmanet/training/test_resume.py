"""Whether a run may go on, and that a trainer goes on where another stood."""

from dataclasses import replace

import pytest
import torch

from dmanet.models.detector import LevelState
from dmanet.ranks import ALONE, Ranks
from dmanet.runs.records import Checkpoint
from dmanet.training.resume import (
    check_same_ranks,
    check_same_run,
    first_difference,
    restore,
    take_checkpoint,
)
from dmanet.training.step import Trainer
from pipeline.errors import CheckpointError
from tests.dmanet.caches import small_run
from tests.dmanet.training_runs import CPU

RECORDINGS = {"train/a/b": "digest b", "train/a/c": "digest c", "val/a/d": "digest d"}


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    trainer = Trainer(small_run("training.ema_decay=0.9"), CPU, 7)
    return take_checkpoint(
        trainer, "fingerprint", RECORDINGS, ("pedestrian", "car", "traffic sign")
    )


def test_a_trainer_gives_back_what_it_was_given(checkpoint):
    other = Trainer(small_run("training.ema_decay=0.9", "training.seed=1"), CPU, 7)
    given = replace(checkpoint, epoch=1, position=2, step=9, best_score=0.5)
    restore(other, given)
    taken = take_checkpoint(other, "fingerprint", RECORDINGS, ("pedestrian", "car", "traffic sign"))
    for name in ("epoch", "position", "step", "best_score", "tally", "scaler", "carried"):
        assert getattr(taken, name) == getattr(given, name)
    for found, wanted in (
        (taken.model, given.model),
        (taken.average["tensors"], given.average["tensors"]),
    ):
        for name, tensor in wanted.items():
            assert torch.equal(found[name], tensor), name


def test_weights_of_another_network_are_not_taken(checkpoint):
    other = Trainer(small_run("model.feature_size=16"), CPU, 7)
    with pytest.raises(CheckpointError, match=r"the tensor '.*' has the shape"):
        restore(other, checkpoint)


def test_a_run_goes_on_with_as_many_processes(checkpoint):
    check_same_ranks(checkpoint, ALONE)
    with pytest.raises(CheckpointError, match="by 1 processes, not 2; resume with as many"):
        check_same_ranks(checkpoint, Ranks(0, 2))


def test_only_the_same_run_goes_on(checkpoint):
    def check(settings=checkpoint.settings, fingerprint="fingerprint", recordings=RECORDINGS):
        check_same_run(checkpoint, settings, fingerprint, recordings, "cache")

    check()
    check(
        settings=small_run("training.ema_decay=0.9", "training.activation_checkpointing=true")
    )  # the same steps, less memory
    with pytest.raises(CheckpointError, match=r"training\.epochs = 2, not 9"):
        check(settings=small_run("training.ema_decay=0.9", "training.epochs=9"))
    with pytest.raises(CheckpointError, match="a cache of other settings"):
        check(fingerprint="another")
    with pytest.raises(CheckpointError, match=r"on 3 recordings.*2 more \(such as train/a/e\)"):
        check(recordings={**RECORDINGS, "train/a/e": "", "val/a/f": ""})
    fewer = {"train/a/b": "digest b", "train/a/c": "another"}
    with pytest.raises(CheckpointError, match=r"1 fewer \(such as val/a/d\), 1 other \(such as t"):
        check(recordings=fewer)


def test_the_first_differing_setting_is_named_with_its_group():
    settings = small_run()
    assert first_difference(settings, small_run()) is None
    other = small_run("model.anchors.base_scale=3", "training.epochs=9")
    difference = first_difference(settings, other)
    assert difference == "model.anchors.base_scale = 2.0, not 3.0"


def test_an_average_that_only_one_of_the_two_keeps_is_one_sentence(checkpoint):
    without = small_run("training.ema_decay=0")
    with pytest.raises(CheckpointError, match=r"has an average of the weights.*ema_decay"):
        restore(Trainer(without, CPU, 7), checkpoint)


def moments(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    trainer = Trainer(small_run("training.ema_decay=0.9"), CPU, 7)
    like = next(trainer.model.parameters())
    sound = {
        "step": torch.tensor(1.0),
        "exp_avg": torch.zeros_like(like),
        "exp_avg_sq": torch.zeros_like(like),
    }
    return {**sound, **changes}


def group(**changes: object) -> dict[str, object]:
    trainer = Trainer(small_run("training.ema_decay=0.9"), CPU, 7)
    return {**trainer.optimizer.state_dict()["param_groups"][0], **changes}


def level(*shape: int) -> LevelState:
    return LevelState(torch.zeros(shape), torch.zeros(shape), torch.zeros(shape))


def test_what_an_optimiser_and_a_state_must_be_is_taken(checkpoint):
    trainer = Trainer(small_run("training.ema_decay=0.9"), CPU, 7)
    optimizer = {**checkpoint.optimizer, "state": {0: moments()}}
    carried = (level(2, 16, 8, 12), level(2, 32, 4, 6), level(2, 32, 2, 3))
    restore(trainer, replace(checkpoint, optimizer=optimizer, carried=carried))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": {"state": {0: moments(exp_avg=torch.zeros(3))}}}, "'exp_avg' has the shape"),
        ({"optimizer": {"state": {0: {"step": torch.zeros(())}}}}, "'exp_avg' is missing"),
        ({"optimizer": {"state": {9999: moments()}}}, "parameter 9999"),
        ({"optimizer": {"param_groups": [{}]}}, "other settings"),
        ({"optimizer": {"param_groups": []}}, "other settings"),
        ({"optimizer": {"param_groups": [group(betas=(-1, 0.999))]}}, "other settings"),
        ({"optimizer": {"param_groups": [group(params=[0])]}}, "other settings"),
        ({"carried": (level(2, 16, 8, 12),)}, "1 levels"),
        ({"carried": (level(1, 16, 8, 12),) * 3}, "carried feature 0 has the shape"),
        ({"position": 8}, "position 8"),
        ({"epoch": 99}, "99 epochs"),
    ],
)
def test_parts_that_do_not_fit_the_run_are_one_sentence(checkpoint, changes, message):
    if "optimizer" in changes:
        changes = {"optimizer": {**checkpoint.optimizer, **changes["optimizer"]}}
    with pytest.raises(CheckpointError, match=f"cannot be resumed, .*{message}"):
        restore(
            Trainer(small_run("training.ema_decay=0.9"), CPU, 7), replace(checkpoint, **changes)
        )
