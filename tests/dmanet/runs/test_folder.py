import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dmanet.runs.checkpoint import load_checkpoint
from dmanet.runs.folder import RunFolder
from dmanet.runs.records import Checkpoint
from dmanet.training.resume import take_checkpoint
from dmanet.training.step import Trainer
from pipeline.errors import CheckpointError, UsageError
from tests.dmanet.caches import small_run

RECORDINGS = {"train/a/b": "digest b", "train/a/c": "digest c", "val/a/d": "digest d"}


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    trainer = Trainer(small_run(), torch.device("cpu"), 7)
    return take_checkpoint(
        trainer, "fingerprint", RECORDINGS, ("pedestrian", "car", "traffic sign")
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def truncate(path: Path) -> None:
    whole = path.read_bytes()
    path.unlink()  # best.pt may be the same file
    path.write_bytes(whole[: len(whole) // 2])


def test_the_last_checkpoint_becomes_the_previous_one(tmp_path: Path, checkpoint):
    folder = RunFolder(tmp_path / "run")
    for step in (1, 2, 3):
        folder.save(replace(checkpoint, step=step))
    assert names(folder.path) == ["last.pt", "previous.pt"]
    assert load_checkpoint(folder.last).step == 3
    assert load_checkpoint(folder.previous).step == 2


def test_the_best_and_kept_ones_stay_when_others_follow(tmp_path: Path, checkpoint):
    folder = RunFolder(tmp_path)
    folder.save(replace(checkpoint, step=100), best=True)
    folder.save(replace(checkpoint, step=12000), kept=True)
    folder.save(replace(checkpoint, step=12001))
    assert names(tmp_path) == ["best.pt", "last.pt", "previous.pt", "step-00012000.pt"]
    assert load_checkpoint(folder.best).step == 100
    assert load_checkpoint(tmp_path / "step-00012000.pt").step == 12000
    assert load_checkpoint(folder.last).step == 12001


def test_a_save_that_fails_leaves_both_checkpoints_whole(tmp_path: Path, checkpoint):
    folder = RunFolder(tmp_path)
    folder.save(replace(checkpoint, step=1))
    folder.save(replace(checkpoint, step=2))
    with pytest.raises(TypeError, match="no function"):
        folder.save(replace(checkpoint, step=3, classes=(lambda: None,)))
    assert load_checkpoint(folder.last).step == 2
    assert load_checkpoint(folder.previous).step in (1, 2)
    assert names(tmp_path) == ["last.pt", "previous.pt"]


@pytest.mark.parametrize("damage", [truncate, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_last_checkpoint_falls_back_to_the_previous_and_never_becomes_it(
    tmp_path: Path, checkpoint, damage
):
    folder = RunFolder(tmp_path)
    folder.save(replace(checkpoint, step=1))
    folder.save(replace(checkpoint, step=2))
    damage(folder.last)
    notes: list[str] = []
    loaded = folder.load(notes.append)
    assert loaded.step == 1
    assert len(notes) == 1
    assert "last.pt: is damaged or missing; going on from previous.pt" in notes[0]
    assert any(why in notes[0] for why in ("no zip archive", "no whole archive", "no such"))
    folder.go_on_from(loaded)
    folder.save(replace(checkpoint, step=2))
    assert load_checkpoint(folder.last).step == 2
    assert load_checkpoint(folder.previous).step == 1


def test_a_whole_last_checkpoint_is_taken_without_a_word(tmp_path: Path, checkpoint):
    folder = RunFolder(tmp_path)
    folder.save(replace(checkpoint, step=1))
    folder.save(replace(checkpoint, step=2))
    truncate(folder.previous)
    notes: list[str] = []
    loaded = folder.load(notes.append)
    folder.go_on_from(loaded)
    assert (loaded.step, notes) == (2, [])


def test_two_damaged_checkpoints_are_one_sentence_about_the_last(tmp_path: Path, checkpoint):
    folder = RunFolder(tmp_path)
    folder.save(checkpoint)
    folder.save(checkpoint)
    truncate(folder.last)
    truncate(folder.previous)
    with pytest.raises(CheckpointError, match=r"last\.pt: cannot be read as a checkpoint"):
        folder.load()


def test_what_a_killed_process_left_unfinished_is_removed(tmp_path: Path, checkpoint):
    folder = RunFolder(tmp_path)
    folder.save(checkpoint)
    (tmp_path / ".last.pt.abc").mkdir()
    (tmp_path / ".last.pt.abc" / "last.pt").write_bytes(b"half")
    folder.go_on_from(folder.load())
    assert names(tmp_path) == ["last.pt"]


def test_a_folder_without_a_checkpoint_or_with_anything_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match="holds no checkpoint to resume"):
        RunFolder(tmp_path).load()
    RunFolder(tmp_path).check_new()
    RunFolder(tmp_path / "absent").check_new()
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match=r"--resume|is a file"):
            RunFolder(path).check_new()


@pytest.mark.skipif(not hasattr(os, "link"), reason="no second names here")
def test_names_of_one_checkpoint_share_its_bytes(tmp_path: Path, checkpoint):
    folder = RunFolder(tmp_path)
    folder.save(checkpoint, best=True)
    assert folder.best.samefile(folder.last)


def test_a_checkpoint_of_the_same_weights_leaves_the_previous_one(tmp_path: Path, checkpoint):
    folder = RunFolder(tmp_path)
    for step, same in ((1, False), (2, False), (3, True), (4, True)):
        folder.save(replace(checkpoint, step=step), replaces_last=same)
    assert load_checkpoint(folder.last).step == 4
    assert load_checkpoint(folder.previous).step == 1
