"""`dmanet-data scan`: what it is asked for is checked before anything is read."""

import os
import shutil

import pytest

from pipeline.release.shards import shard_path
from pipeline.selection.manifest import read_manifest
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


def test_labels_and_a_listing_of_the_drive_are_enough_and_a_second_scan_reads_nothing(
    release, tmp_path
):
    root = tmp_path / "labels"
    shutil.copytree(release, root, ignore=shutil.ignore_patterns("ev*.npz"))
    events = sorted(release.rglob("ev*.npz"))
    listing = tmp_path / "drive.txt"
    listing.write_text(
        "".join(f"{path.relative_to(release)};{path.stat().st_size}\n" for path in events)
        + "test/testfilelist00/events/elsewhere/ev001.npz;5\n"
    )
    command = (
        "scan",
        root,
        "--labels-only",
        "--sizes",
        listing,
        "-o",
        tmp_path / "m.json",
        "--update",
    )
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert "1 event files of the listing belong to no shard that is here" in done.output
    first = (tmp_path / "m.json").read_bytes()
    sizes = [s.event_bytes for r in read_manifest(tmp_path / "m.json").recordings for s in r.shards]
    assert sorted(sizes) == sorted(path.stat().st_size for path in events)
    assert run(*command).exit_code == 0
    assert (tmp_path / "m.json").read_bytes() == first
    assert (tmp_path / "m.json.scan").is_file()


def test_a_listing_without_labels_only_and_another_file_as_record_are_refused(release, tmp_path):
    listing, output = tmp_path / "drive.txt", tmp_path / "m.json"
    listing.write_text("no listing\n")
    refused("scan", release, "-o", output, "--sizes", listing, code=2, saying="--labels-only")
    refused("scan", release, "-o", output, "--labels-only", "--sizes", listing, code=1,
            saying="line 1: it fits none")  # fmt: skip
    (tmp_path / "m.json.scan").write_text("mine")
    refused("scan", release, "-o", output, "--update", code=2, saying="move it away")
    assert (tmp_path / "m.json.scan").read_text() == "mine"
    assert not output.exists()
