"""A cache without a label: nothing is called a score, and its user is told."""

import json
from pathlib import Path

import pytest

from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import walk_release
from pipeline.voxelizing.run import voxelize
from tests.cli.model.commands import QUICK, run
from tests.dmanet.caches import CLASSES, GRID
from tests.pipeline.releases import write_recording


def made(folder: Path, train: int, val: int) -> Path:
    """A cache of two recordings with so many boxes in each window."""
    write_recording(folder / "release", "train/trainfilelist00/a", boxes_per_window=train)
    write_recording(folder / "release", "val/valfilelist00/b", boxes_per_window=val, seed=1)
    settings = CacheSettings(preset="release", grid=GRID, max_points=3, classes=CLASSES)
    voxelize(walk_release(folder / "release"), lambda key: (1280, 720), folder / "cache", settings)
    return folder / "cache"


@pytest.fixture(scope="module")
def trained_without(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlabelled")
    cache = made(folder, train=0, val=0)
    return folder, cache, run("train", cache, "--run-dir", folder / "run", *QUICK)


def test_training_without_a_label_warns_and_names_no_best(trained_without):
    folder, _, result = trained_without
    assert result.exit_code == 0, result.output
    assert "has no box of the classes to learn in the split train" in result.stderr
    assert "best" not in result.stdout
    assert "best" not in result.stderr
    assert not (folder / "run" / "best.pt").exists()
    (epoch,) = map(json.loads, (folder / "run" / "epochs.jsonl").read_text().splitlines())
    assert epoch["score"] is None
    assert epoch["score_of"].startswith("none, as the cache has no labels")


def test_scoring_without_a_label_warns_and_shows_no_number(trained_without):
    folder, cache, _ = trained_without
    result = run("evaluate", cache, "--checkpoint", folder / "run" / "last.pt", "--split", "val")
    assert result.exit_code == 0, result.output
    assert "has no box of the network's classes in the split val" in result.stderr
    rows = [line for line in result.stdout.splitlines() if line.startswith(("all", "car"))]
    assert len(rows) == 2
    assert all(row.split()[-2:] == ["no", "label"] for row in rows)


def test_a_loss_is_called_a_loss_where_val_has_no_label(tmp_path: Path):
    cache = made(tmp_path, train=4, val=0)
    result = run("train", cache, "--run-dir", tmp_path / "run", *QUICK)
    assert result.exit_code == 0, result.output
    assert "Error" not in result.stderr
    assert "no box" not in result.stderr
    assert "best.pt has the least mean training loss, " in result.stdout
    assert "-" not in result.stdout.partition("loss, ")[2].partition(" (")[0]
    assert "as the cache has no labels of these classes in val" in result.stdout
