import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import torch as safetensors

from dmanet.models.detector import DMANet, LevelState
from dmanet.runs.checkpoint import load_checkpoint, save_checkpoint
from dmanet.runs.claims import read_claims
from dmanet.runs.digests import content_digest
from dmanet.runs.outcomes import Tally
from dmanet.runs.records import Checkpoint
from dmanet.runs.released_weights import load_released
from dmanet.runs.weights import load_weights, save_weights
from dmanet.training.averaging import WeightAverage
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CheckpointError, UsageError
from tests.dmanet.caches import small_run

CACHE = CacheSettings(preset="paper", grid=(96, 64), max_points=3, classes=(0, 2, 5))


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    settings = small_run()
    torch.manual_seed(0)
    model = DMANet(settings.model)
    optimizer = torch.optim.Adam(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    average = WeightAverage(model, 0.9)
    model.class_head.output.bias.data += 1
    average.update(model)
    return Checkpoint(
        settings=settings,
        model=model.state_dict(),
        optimizer=optimizer.state_dict(),
        scaler={"scale": 1024.0, "growth_interval": 2000},
        average=average.state_dict(),
        carried=(LevelState(torch.ones(2, 3), torch.zeros(2, 3), torch.ones(2, 3).bfloat16()),),
        epoch=3,
        position=4,
        step=40,
        tally=Tally(made=39, bad=1, epoch_loss=2.5),
        best_score=0.25,
        cache="abc",
        recordings={"train/a/b": "digest"},
        classes=("pedestrian", "car", "traffic sign"),
        cache_settings=CACHE,
    )


def assert_same_tensors(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


class Dangerous:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path, checkpoint):
    path = tmp_path / "last.pt"
    save_checkpoint(path, checkpoint)
    loaded = load_checkpoint(path)
    assert_same_tensors(loaded.model, checkpoint.model)
    assert loaded.settings == checkpoint.settings
    assert_same_tensors(loaded.average["tensors"], checkpoint.average["tensors"])
    assert loaded.average["updates"] == 1
    for name in ("epoch", "position", "step", "tally", "best_score", "scaler"):
        assert getattr(loaded, name) == getattr(checkpoint, name)
    assert type(loaded.scaler["growth_interval"]) is int  # torch takes no float for it
    for name in ("cache", "recordings", "classes", "cache_settings"):
        assert getattr(loaded, name) == getattr(checkpoint, name)
    for level, kept in zip(loaded.carried, checkpoint.carried, strict=True):
        assert_same_tensors(vars(level), vars(kept))
        assert level.feature.dtype == torch.bfloat16
    saved, state = checkpoint.optimizer["state"], loaded.optimizer["state"]
    assert state.keys() == saved.keys()
    for index, tensors in saved.items():
        assert_same_tensors(tensors, state[index])
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_a_file_holds_the_fields_of_the_record_under_their_names(tmp_path: Path, checkpoint):
    """What earlier releases wrote and read; another key or form of a value needs a new version."""
    save_checkpoint(tmp_path / "last.pt", checkpoint)
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    assert (content.pop("format"), content.pop("version")) == ("dmanet-checkpoint", 4)
    assert len(content.pop("digest")) == 64
    assert content.keys() == {
        "settings", "model", "optimizer", "scaler", "average", "carried", "epoch", "position",
        "step", "tally", "best_score", "cache", "recordings", "classes", "cache_settings",
    }  # fmt: skip
    assert content["settings"] == checkpoint.settings.model_dump(mode="json")
    assert content["tally"] == vars(checkpoint.tally)
    assert [level.keys() for level in content["carried"]] == [{"hidden", "cell", "feature"}]
    assert content["classes"] == (0, 2, 5)
    assert content["cache_settings"] == json.loads(json.dumps(CACHE.stored()))


def test_weights_come_back_from_a_checkpoint_and_from_safetensors(tmp_path: Path, checkpoint):
    save_checkpoint(tmp_path / "last.pt", checkpoint)
    save_weights(tmp_path / "weights.safetensors", checkpoint.weights())
    for name in ("last.pt", "weights.safetensors"):
        weights = load_weights(tmp_path / name)
        assert weights.settings == checkpoint.settings.model
        assert weights.classes == ("pedestrian", "car", "traffic sign")
        assert weights.cache_settings == CACHE == read_claims(tmp_path / name).cache_settings
        assert_same_tensors(weights.build().state_dict(), checkpoint.average["tensors"])
        assert weights.fingerprint() == checkpoint.weights().fingerprint()


def test_files_of_earlier_releases_remember_no_settings_of_a_cache(tmp_path: Path, checkpoint):
    content = checkpoint.content()
    del content["cache_settings"]
    header = {"format": "dmanet-checkpoint", "version": 3, "digest": content_digest(content)}
    torch.save(header | content, tmp_path / "last.pt")
    assert load_checkpoint(tmp_path / "last.pt").cache_settings is None
    assert read_claims(tmp_path / "last.pt").cache_settings is None
    assert read_claims(tmp_path / "last.pt").fingerprint == "abc"

    weights = checkpoint.weights()
    tensors = {name: tensor.contiguous() for name, tensor in weights.tensors.items()}
    header = {
        "format": "dmanet-weights",
        "version": "2",
        "settings": weights.settings.model_dump_json(),
        "classes": "[0, 2, 5]",
        "digest": content_digest(
            {"settings": weights.settings.model_dump(), "classes": (0, 2, 5), "tensors": tensors}
        ),
    }
    (tmp_path / "weights.safetensors").write_bytes(safetensors.save(tensors, header))
    assert load_weights(tmp_path / "weights.safetensors").cache_settings is None


@pytest.mark.parametrize(
    "stored", [[], {"grid": [0, 5]}, {"preset": "other"}, {"unknown": 1}, {"grid": torch.ones(2)}]
)
def test_settings_of_a_cache_that_are_none_are_one_sentence(tmp_path: Path, checkpoint, stored):
    content = {**checkpoint.content(), "cache_settings": stored}
    header = {"format": "dmanet-checkpoint", "version": 4, "digest": content_digest(content)}
    torch.save(header | content, tmp_path / "last.pt")
    for read in (load_checkpoint, read_claims):
        with pytest.raises(CheckpointError, match="use another file") as raised:
            read(tmp_path / "last.pt")
        assert "\n" not in str(raised.value)


def test_the_fingerprint_changes_with_any_weight_and_setting(checkpoint):
    weights = checkpoint.weights()
    name = next(iter(weights.tensors))
    changed = {**weights.tensors, name: weights.tensors[name] + 1e-6}
    wider = weights.settings.model_copy(update={"stem_width": 16})
    prints = {
        one.fingerprint()
        for one in (weights, replace(weights, tensors=changed), replace(weights, settings=wider))
    }
    assert len(prints) == 3
    assert replace(weights, source="elsewhere").fingerprint() == weights.fingerprint()


def test_a_checkpoint_without_an_average_is_used_as_it_was_trained(tmp_path: Path, checkpoint):
    save_checkpoint(tmp_path / "last.pt", replace(checkpoint, average=None, carried=None))
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert loaded.carried is None
    assert_same_tensors(loaded.weights().tensors, checkpoint.model)
    assert_same_tensors(loaded.trained_weights().tensors, checkpoint.model)


@pytest.mark.parametrize("load", [load_checkpoint, load_weights, load_released])
@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint at all", b"\x80\x02}", b"PK\x03\x04rubbish", b"12345678{broken"],
)
def test_something_else_than_a_checkpoint_is_one_sentence(tmp_path: Path, load, content):
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kept", [0.2, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, checkpoint, kept):
    for name, save, what in (
        ("last.pt", save_checkpoint, checkpoint),
        ("weights.safetensors", save_weights, checkpoint.weights()),
    ):
        path = tmp_path / name
        save(path, what)
        data = path.read_bytes()
        path.write_bytes(data[: int(kept * len(data))])
        with pytest.raises(CheckpointError, match=f"{name}: cannot be read"):
            load_weights(path)


@pytest.mark.parametrize("load", [load_checkpoint, load_weights, load_released])
def test_objects_that_run_code_are_named_and_never_loaded(tmp_path: Path, load):
    trap = tmp_path / "trap"
    torch.save({"state_dict": {"a": torch.ones(1)}, "hook": Dangerous(trap)}, tmp_path / "new.pt")
    with pytest.raises(CheckpointError, match=r"mkdir.*not loaded"):
        load(tmp_path / "new.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"hook": Dangerous(trap)}, protocol=2))
    with pytest.raises(CheckpointError, match=r"mkdir.*not loaded"):
        load(tmp_path / "old.pt")
    assert not trap.exists()


def test_a_missing_file_is_a_usage_error(tmp_path: Path):
    for load in (load_checkpoint, load_weights, load_released):
        with pytest.raises(UsageError, match="no such checkpoint"):
            load(tmp_path / "absent.pt")


def test_other_files_of_torch_are_told_apart(tmp_path: Path, checkpoint):
    path = tmp_path / "file.pt"
    torch.save({"state_dict": {"conv1.weight": torch.ones(1)}}, path)
    with pytest.raises(CheckpointError, match="import-weights"):
        load_weights(path)
    torch.save({"format": "dmanet-checkpoint", "version": 99}, path)
    with pytest.raises(CheckpointError, match="version 99, this release reads 2, 3 and 4"):
        load_weights(path)
    torch.save({"format": "dmanet-checkpoint", "version": 2, "epoch": 1}, path)
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        load_weights(path)


@pytest.mark.parametrize("change", ["shape", "missing", "surplus"])
def test_weights_of_another_architecture_name_the_first_tensor(checkpoint, change):
    tensors = dict(checkpoint.weights().tensors)
    name = "backbone.stem_conv.weight"
    if change == "shape":
        tensors[name] = torch.zeros(5, 16, 7, 7)
        message = r"'backbone.stem_conv.weight' has the shape \(5, 16, 7, 7\) instead of \(8, "
    elif change == "missing":
        del tensors[name]
        message = r"'backbone.stem_conv.weight' is missing"
    else:
        tensors["backbone.extra"] = torch.zeros(1)
        message = r"'backbone.extra' is surplus"
    with pytest.raises(CheckpointError, match=message):
        replace(checkpoint.weights(), tensors=tensors).build()


def test_released_checkpoints_are_read_bare_or_wrapped(tmp_path: Path):
    state = {"conv1.weight": torch.ones(2), "bn1.num_batches_tracked": torch.tensor(3)}
    for name, content in (("bare.pth", state), ("wrapped.pth", {"state_dict": state, "epoch": 3})):
        torch.save(content, tmp_path / name)
        assert_same_tensors(load_released(tmp_path / name), state)
    for content in ({}, {"epoch": 3}, [1, 2], {"state_dict": {"a": 1.0}}):
        torch.save(content, tmp_path / "none.pth")
        with pytest.raises(CheckpointError, match="no state dict"):
            load_released(tmp_path / "none.pth")


def test_an_npz_file_is_not_a_checkpoint(tmp_path: Path):
    np.savez(tmp_path / "e.npz", e0=np.zeros(3))
    with pytest.raises(CheckpointError):
        load_weights(tmp_path / "e.npz")
