"""`dmanet-data verify` as a user types it."""

import shutil

from tests.cli.data.commands import GRID, RECORDING, refused, run
from tests.pipeline.releases import write_recording


def test_a_sound_cache(cache, small_release, small_manifest):
    assert "2 recordings, every digest matches." in run("verify", cache).stdout
    for source in (("--root", small_release), ("--manifest", small_manifest)):
        result = run("verify", cache, "--deep", *source, "--sample", 12)
        assert result.exit_code == 0, result.output
        assert f"12 windows are what {small_release} gives." in result.stdout


def test_sources_that_are_partly_gone(cache, small_release, tmp_path):
    shutil.copytree(small_release / "val", tmp_path / "rest" / "val")
    result = run("verify", cache, "--deep", "--root", tmp_path / "rest")
    assert result.exit_code == 0
    assert "10 windows are what" in result.stdout
    assert "(recordings whose sources are not there: 1)" in result.stdout


def test_other_sources_end_with_one(cache, small_release, tmp_path):
    root = shutil.copytree(small_release, tmp_path / "release")
    write_recording(root, RECORDING, seed=2)
    result = run("verify", cache, "--deep", "--root", root)
    assert result.exit_code == 1
    assert f"{RECORDING}: its source" in result.stderr
    assert "every digest matches" not in result.stdout


def test_options_that_mean_nothing(cache, small_release, small_manifest, tmp_path):
    refused("verify", cache, "--root", small_release, code=2, saying="are for --deep")
    refused("verify", cache, "--deep", code=2, saying="either --root or --manifest")
    refused(
        "verify",
        cache,
        "--deep",
        "--root",
        small_release,
        "--sample",
        0,
        code=2,
        saying="--sample",
    )
    refused("verify", cache, "--deep", "--root", tmp_path, code=2, saying="holds none of")
    refused("verify", tmp_path / "none", code=2, saying="no such cache")


def test_verify_tells_a_damaged_recording_and_ends_with_one(release, tmp_path):
    assert run("voxelize", release, tmp_path / "c", *GRID).exit_code == 0
    chunk = tmp_path / "c/train/trainfilelist00/rec_1/pillars/c/0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 4
    chunk.write_bytes(data)
    result = run("verify", tmp_path / "c")
    assert result.exit_code == 1
    assert "rec_1: the array 'pillars' does not match its digest" in result.stderr
