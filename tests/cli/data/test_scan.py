"""`dmanet-data scan`: what it is asked for is checked before anything is read."""

import os

import pytest

from pipeline.release.shards import shard_path
from tests.cli.data.commands import RECORDING, refused, run


@pytest.mark.parametrize("kind", ["folder", "pipe", "address", "no folder"])
def test_outputs_that_cannot_be_written_are_refused_before_the_work(release, tmp_path, kind):
    output = tmp_path / "m.json"
    if kind == "folder":
        output.mkdir()
    elif kind == "pipe":
        os.mkfifo(output)
    elif kind == "address":
        output = "s3://bucket/m.json"
    else:
        (tmp_path / "file").write_text("")
        output = tmp_path / "file" / "m.json"
    before = sorted(tmp_path.rglob("*"))
    refused("scan", release, "-o", output, code=2, saying="'-o'")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_pipe_in_the_place_of_a_shard_is_one_sentence_and_no_manifest(tmp_path):
    made = run("simulate", tmp_path / "sim", "--size", "64x48", "--rate", 100, "--seconds", 0.5,
               "--recordings", "train=1")  # fmt: skip
    assert made.exit_code == 0
    (path,) = (tmp_path / "sim").rglob("ev001.npz")
    path.unlink()
    os.mkfifo(path)
    refused("scan", tmp_path / "sim", "-o", tmp_path / "m.json", code=1, saying=str(path))
    assert not (tmp_path / "m.json").exists()


def test_a_folder_that_is_a_loop_of_links_is_one_sentence(release, tmp_path):
    (tmp_path / "train").symlink_to("train")
    refused("scan", tmp_path, "-o", tmp_path / "m.json", code=1, saying=f"{tmp_path}/train: ")
    assert shard_path(release, RECORDING, 1, "events").is_file()
