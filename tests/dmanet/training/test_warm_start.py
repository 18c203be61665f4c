"""Beginning with the weights of another network: what is taken, what is not, and what is said."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from cli.main import main
from dmanet.models.detector import DMANet
from dmanet.runs.records import Weights
from dmanet.runs.weights import load_weights, save_weights
from dmanet.training.loop import train
from dmanet.training.step import Trainer
from dmanet.training.warm_start import warm_start
from pipeline.errors import CheckpointError
from pipeline.tasks.outcomes import Stopped
from tests.dmanet.caches import NAMED, small_run
from tests.dmanet.ranks import on_ranks
from tests.dmanet.training_runs import CPU, StopAt, losses

pytestmark = pytest.mark.usefixtures("one_thread")

NO_MEMORY = ("model.long_memory=none", "model.short_memory=false")
AVERAGED = "training.ema_decay=0.9"
RENAMED = ("car", "pedestrian", "traffic sign")


def weights_of(*overrides: str, classes=NAMED, seed: int = 9) -> Weights:
    settings = small_run(*overrides).model
    torch.manual_seed(seed)
    return Weights(settings, DMANet(settings).state_dict(), classes, "other.pt")


def test_a_network_with_memories_takes_all_of_one_without(one_thread):
    weights = weights_of(*NO_MEMORY)
    trainer, drawn = (Trainer(small_run(AVERAGED), CPU, 7) for _ in range(2))
    found = warm_start(trainer, weights, NAMED)
    assert set(found.taken) == weights.tensors.keys()
    assert (found.other_shape, found.other_classes, found.unused) == ({}, (), ())
    average = trainer.average.tensors()
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, average[name])
        assert torch.equal(tensor, weights.tensors.get(name, drawn.model.state_dict()[name])), name
    assert {name.partition(".")[0] for name in found.new} == {
        "long_memory", "short_memory", "temporal_branch",
    }  # fmt: skip
    told = str(found)
    assert re.fullmatch(
        r"other\.pt: took \d+ tensors \(pillar_net \d+, backbone \d+, .*\); new are "
        r"\d+ tensors \(long_memory 18, temporal_branch \d+, short_memory 24\)\.",
        told,
    )


def test_the_same_network_is_taken_whole():
    weights = weights_of()
    trainer = Trainer(small_run(), CPU, 7)
    found = warm_start(trainer, weights, NAMED)
    assert len(found.taken) == len(weights.tensors)
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, weights.tensors[name])


def test_tensors_of_another_shape_stay_as_drawn_and_are_named():
    trainer, drawn = (Trainer(small_run("model.feature_size=16"), CPU, 7) for _ in range(2))
    found = warm_start(trainer, weights_of("model.long_memory=hold"), NAMED)
    assert found.other_shape["box_head.output.weight"] == ((60, 8, 3, 3), (60, 16, 3, 3))
    for name in found.other_shape:
        assert torch.equal(trainer.model.state_dict()[name], drawn.model.state_dict()[name])
    told = str(found)
    assert "of another shape and not taken are pyramid.lateral.0.weight (8, 16, 1, 1) inst" in told
    assert f" and {len(found.other_shape) - 10} more; " in told
    assert "not needed were 6 tensors (hold_memory 6)" in told


def test_outputs_of_other_classes_are_not_taken():
    trainer, drawn = (Trainer(small_run(), CPU, 7) for _ in range(2))
    torch.nn.init.normal_(drawn.model.class_head.output.weight)
    weights = replace(weights_of(), tensors=drawn.model.state_dict(), classes=RENAMED)
    found = warm_start(trainer, weights, NAMED)
    assert found.other_classes == ("class_head.output.weight", "class_head.output.bias")
    assert not trainer.model.class_head.output.weight.any()
    assert "of other classes and not taken are class_head.output.weight" in str(found)
    assert warm_start(trainer, replace(weights, classes=None), NAMED).other_classes == ()


OTHER = (
    "model.pillar_channels=4", "model.stem_width=16", "model.feature_size=24",
    "model.anchors.scales=[1.0]", "model.num_classes=2", "model.max_points=2",
)  # fmt: skip


def test_where_nothing_fits_it_is_one_sentence(cache, tmp_path: Path):
    file = tmp_path / "other.safetensors"
    save_weights(file, weights_of(*OTHER, classes=NAMED[:2]))
    run_dir = tmp_path / "run"
    with pytest.raises(CheckpointError, match="no tensor of it fits this network") as raised:
        train(cache, small_run(f"training.init_from={file}"), run_dir, device=CPU)
    assert str(raised.value).startswith(f"{file}: ")
    assert "\n" not in str(raised.value)
    assert not run_dir.exists()


def test_a_damaged_file_is_one_sentence(cache, tmp_path: Path):
    weights = weights_of()
    weights.tensors["backbone.stem_conv.weight"].fill_(float("nan"))
    file = tmp_path / "other.safetensors"
    save_weights(file, weights)
    with pytest.raises(CheckpointError, match="holds a number that is not finite"):
        train(cache, small_run(f"training.init_from={file}"), tmp_path / "run", device=CPU)


@pytest.mark.parametrize(("content", "code"), [(None, 2), (b"no checkpoint", 1)])
def test_a_file_that_is_none_is_one_sentence_on_the_command_line(
    cache, tmp_path: Path, content, code
):
    file = tmp_path / "other.pt"
    if content is not None:
        file.write_bytes(content)
    result = CliRunner().invoke(
        main, ["train", str(cache.location), "--run-dir", str(tmp_path / "run"), "--preset", "tiny",
               "--set", "model.grid_size=[64, 96]", "--set", "model.max_points=3",
               "--set", "model.num_classes=3", "--set", f"training.init_from={file}"],
    )  # fmt: skip
    assert result.exit_code == code, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {file}: ")
    assert not (tmp_path / "run").exists()


def test_a_run_says_what_it_took_and_goes_on_without_the_file(cache, tmp_path: Path):
    file = tmp_path / "other.safetensors"
    save_weights(file, weights_of(*NO_MEMORY))
    settings = small_run(f"training.init_from={file}", AVERAGED, "training.epochs=1")
    train(cache, settings, tmp_path / "whole", device=CPU)
    watcher = StopAt(1)
    with pytest.raises(Stopped):
        train(cache, settings, tmp_path / "run", device=CPU, watcher=watcher)
    assert watcher.notes[0].startswith(f"{file}: took ")
    file.unlink()
    resumed = StopAt()
    train(cache, None, tmp_path / "run", device=CPU, resume=True, watcher=resumed)
    assert resumed.notes == []
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    ours, theirs = (load_weights(tmp_path / run / "last.pt") for run in ("run", "whole"))
    assert ours.fingerprint() == theirs.fingerprint()


def first_weights(ranks, settings, weights):
    trainer = Trainer(settings, CPU, 7, ranks)
    warm_start(trainer, weights, NAMED)
    return trainer.weights(NAMED).fingerprint()


def test_ranks_begin_alike():
    first, second = on_ranks(first_weights, small_run(AVERAGED), weights_of(*NO_MEMORY))
    assert first == second
