"""What `dmanet-data` is given that it cannot use: one sentence, and nothing is written."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.data.commands import GRID, refused, run


def test_missing_and_empty_folders(tmp_path):
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.mkdir()
    for folder in (missing, empty):
        refused("scan", folder, "-o", tmp_path / "m.json", code=2, saying=str(folder))
    refused("voxelize", empty, tmp_path / "c", code=2, saying=str(empty))
    refused("info", missing, code=2, saying=str(missing))
    refused("stats", missing, "-o", tmp_path / "r.html", code=2, saying=str(missing))
    refused("verify", missing, code=2, saying=str(missing))
    refused("ingest", missing, tmp_path / "out", code=2, saying=str(missing))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty"]


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_a_shard_that_is_not_npz(release, tmp_path, content):
    root = tmp_path / "release"
    shutil.copytree(release, root)
    shard = root / "train/trainfilelist00/events/rec_0/ev001.npz"
    shard.write_bytes(content)
    refused(
        "voxelize", root, tmp_path / "c", *GRID, "--on-corrupt", "fail",
        code=1, saying=str(shard),
    )  # fmt: skip


def test_objects_are_refused(release, tmp_path):
    root = tmp_path / "release"
    shutil.copytree(release, root)
    shard = root / "train/trainfilelist00/events/rec_0/ev001.npz"
    np.savez_compressed(shard, e0=np.array([print], dtype=object))
    refused(
        "voxelize", root, tmp_path / "c", *GRID, "--on-corrupt", "fail",
        code=1, saying="no flat record of numbers",
    )  # fmt: skip


def test_a_manifest_that_is_none(release, tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text("{}")
    refused("voxelize", path, tmp_path / "c", code=1, saying=str(path))
    refused("subset", path, "--budget", "1GB", "-o", tmp_path / "s.json", code=1, saying="json")
    assert not (tmp_path / "c").exists()
    assert not (tmp_path / "s.json").exists()


def test_a_manifest_whose_files_are_gone(release, tmp_path):
    root = tmp_path / "release"
    shutil.copytree(release, root)
    run("scan", root, "-o", tmp_path / "m.json")
    gone = root / "train/trainfilelist00/events/rec_0/ev001.npz"
    gone.unlink()
    refused("voxelize", tmp_path / "m.json", tmp_path / "c", code=1, saying=str(gone))
    assert not (tmp_path / "c").exists()


def test_a_budget_too_small_or_unreadable(manifest, tmp_path):
    output = tmp_path / "s.json"
    for budget, saying in (("1kB", "smallest recording"), ("lots", "not a size")):
        refused("subset", manifest, "--budget", budget, "-o", output, code=2, saying=saying)
    assert not output.exists()


def test_a_cache_of_other_settings(release, tmp_path):
    assert run("voxelize", release, tmp_path / "c", *GRID).exit_code == 0
    refused(
        "voxelize", release, tmp_path / "c", "--grid", "32x32", code=1, saying="grid = [64, 64]"
    )


def test_options_that_mean_nothing(release, tmp_path):
    cache = tmp_path / "c"
    refused("voxelize", release, cache, "--grid", "big", code=2, saying="not a size")
    refused("voxelize", release, cache, "--classes", "tram", code=2, saying="not a class")
    refused("voxelize", release, cache, "--max-points", 9, code=2, saying="--max-points")
    assert not cache.exists()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/nowhere/at/all")])
def test_a_cache_with_what_is_neither_file_nor_folder_is_a_sentence(cache, tmp_path, make):
    copy = Path(shutil.copytree(cache, tmp_path / "copy"))
    make(next(copy.rglob("points")) / "odd")
    for command in (("stats", copy, "-o", tmp_path / "r.html"), ("info", copy)):
        refused(*command, code=1, saying="points/odd: is ")
