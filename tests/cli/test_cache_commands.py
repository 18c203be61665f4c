"""`verify`, `info` and `show` as a user types them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cli.data import main
from tests.pipeline.releases import write_recording

RECORDING = "train/trainfilelist00/rec_0"
GRID = ("--grid", "64x64")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def refused(*arguments: object, code: int, saying: str) -> None:
    """The command ends with ``code`` and one sentence, and no traceback."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert saying in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.output


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "release"
    write_recording(root, RECORDING, seed=1)
    write_recording(root, "val/valfilelist00/rec_v", shards=(1,), seed=7)
    return root


@pytest.fixture(scope="module")
def manifest(release) -> Path:
    path = release.parent / "manifest.json"
    assert run("scan", release, "-o", path).exit_code == 0
    return path


@pytest.fixture(scope="module")
def cache(release) -> Path:
    path = release.parent / "cache"
    assert run("voxelize", release, path, *GRID).exit_code == 0
    return path


class TestVerify:
    def test_a_sound_cache(self, cache, release, manifest):
        assert "2 recordings, every digest matches." in run("verify", cache).stdout
        for source in (("--root", release), ("--manifest", manifest)):
            result = run("verify", cache, "--deep", *source, "--sample", 12)
            assert result.exit_code == 0, result.output
            assert f"12 windows are what {release} gives." in result.stdout

    def test_sources_that_are_partly_gone(self, cache, release, tmp_path):
        shutil.copytree(release / "val", tmp_path / "rest" / "val")
        result = run("verify", cache, "--deep", "--root", tmp_path / "rest")
        assert result.exit_code == 0
        assert "10 windows are what" in result.stdout
        assert "(recordings whose sources are not there: 1)" in result.stdout

    def test_other_sources_end_with_one(self, cache, release, tmp_path):
        root = shutil.copytree(release, tmp_path / "release")
        write_recording(root, RECORDING, seed=2)
        result = run("verify", cache, "--deep", "--root", root)
        assert result.exit_code == 1
        assert f"{RECORDING}: its source" in result.stderr
        assert "every digest matches" not in result.stdout

    def test_options_that_mean_nothing(self, cache, release, manifest, tmp_path):
        refused("verify", cache, "--root", release, code=2, saying="are for --deep")
        refused("verify", cache, "--deep", code=2, saying="either --root or --manifest")
        refused(
            "verify", cache, "--deep", "--root", release, "--sample", 0, code=2, saying="from 1 up"
        )
        refused("verify", cache, "--deep", "--root", tmp_path, code=2, saying="holds none of")
        refused("verify", tmp_path / "none", code=2, saying="no such cache")


class TestInfo:
    def test_completeness_against_a_manifest(self, cache, manifest):
        facts = json.loads(run("info", cache, "--manifest", manifest, "--json").stdout)
        assert facts["manifest"]["complete"] == facts["manifest"]["recordings"] == 2
        text = run("info", cache, "--manifest", manifest).stdout
        assert "missing_filelists  none" in text

    def test_a_cache_at_an_address(self, cache):
        fsspec.filesystem("memory").put(str(cache), "/elsewhere/cache", recursive=True)
        there = json.loads(run("info", "memory://elsewhere/cache", "--json").stdout)
        assert there == json.loads(run("info", cache, "--json").stdout)
        assert run("verify", "memory://elsewhere/cache").exit_code == 0

    def test_a_manifest_against_a_manifest_means_nothing(self, manifest):
        refused("info", manifest, "--manifest", manifest, code=2, saying="is a manifest itself")


class TestShow:
    def test_a_window_becomes_a_picture(self, cache, tmp_path):
        out = tmp_path / "pictures" / "w.png"
        result = run(
            "show", cache, "--recording", RECORDING, "--window", 12, "-o", out, "--width", 320
        )
        assert result.exit_code == 0, result.output
        with Image.open(out) as picture:
            assert (picture.format, picture.width) == ("PNG", 320)
            assert picture.height > 180  # 16:9, and the strip with the caption
            assert len(picture.convert("RGB").getcolors(100_000)) > 5
        assert [path.name for path in out.parent.iterdir()] == ["w.png"]

    def test_what_is_not_there(self, cache, tmp_path):
        out = ("-o", tmp_path / "w.png")
        refused("show", cache, "--recording", "a/b/c", "--window", 0, *out, code=2, saying="a/b/c")
        refused(
            "show", cache, "--recording", RECORDING, "--window", 20, *out, code=2, saying="has 20"
        )
        refused(
            "show", cache, "--recording", RECORDING, "--window", 1, *out, "--width", 1,
            code=2, saying="64 to 8192",
        )  # fmt: skip
        assert list(tmp_path.iterdir()) == []

    def test_it_needs_no_torch(self, cache, tmp_path):
        code = (
            "import sys; from cli.data import main; "
            "main(sys.argv[1:], standalone_mode=False); assert 'torch' not in sys.modules"
        )
        arguments = [
            "show",
            cache,
            "--recording",
            RECORDING,
            "--window",
            3,
            "-o",
            tmp_path / "w.png",
        ]
        subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)
        assert (tmp_path / "w.png").exists()
