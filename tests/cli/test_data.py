"""`dmanet-data` as a user types it: what works, and one sentence for what does not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cli.data import main
from cli.voxelizing import LEFT_OUT_EXIT_CODE
from pipeline.release.shards import EVENT_DTYPE
from tests.pipeline.raw_files import write_dat
from tests.pipeline.releases import damage_member, write_recording

GRID = ("--grid", "64x64")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def refused(*arguments: object, code: int, saying: str) -> None:
    """The command ends with ``code`` and one sentence, and no traceback."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    message = result.stderr.strip().splitlines()[-1]
    assert saying in message
    assert "Traceback" not in result.output


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "release"
    for k in range(3):
        write_recording(root, f"train/trainfilelist00/rec_{k}", seed=k)
    write_recording(root, "val/valfilelist00/rec_v", shards=(1,), seed=7)
    write_recording(root, "test/testfilelist00/rec_t", shards=(1,), seed=8)
    return root


@pytest.fixture(scope="module")
def manifest(release) -> Path:
    path = release.parent / "manifest.json"
    assert run("scan", release, "-o", path).exit_code == 0
    return path


def test_scan_subset_voxelize_verify_info_and_stats_work_one_after_the_other(
    release, manifest, tmp_path
):
    subset, cache = tmp_path / "subset.json", tmp_path / "cache"
    budget = int(json.loads(manifest.read_text())["totals"]["bytes"] * 0.7)
    files = tmp_path / "files.txt"
    chosen = run(
        "subset", manifest, "--budget", budget, "-o", subset, "--files-from", files,
        "--link", tmp_path / "tree",
    )  # fmt: skip
    assert chosen.exit_code == 0, chosen.output
    assert "total variation" in chosen.output
    listed = files.read_text().split()
    assert sum((release / name).stat().st_size for name in listed) <= budget
    assert all((tmp_path / "tree" / name).exists() for name in listed)

    made = run("voxelize", subset, cache, *GRID, "--json")
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout)
    assert facts["settings"]["grid"] == [64, 64]
    assert facts["windows"] == 10 * sum("/ev0" in name for name in listed)
    again = run("voxelize", tmp_path / "tree", cache, *GRID, "--json")
    assert json.loads(again.stdout) == facts

    assert run("verify", cache).exit_code == 0
    assert json.loads(run("info", cache, "--json").stdout) == facts
    assert json.loads(run("info", subset, "--json").stdout)["subset"]["budget"] == budget
    report, numbers = tmp_path / "report.html", tmp_path / "report.json"
    assert run("stats", cache, "-o", report, "--json", numbers).exit_code == 0
    assert "<svg" in report.read_text()
    assert json.loads(numbers.read_text())
    assert run("stats", manifest, "-o", tmp_path / "m.html").exit_code == 0


def test_ingest_and_stats_give_the_same_on_several_processes(tmp_path):
    for number in range(2):
        events = np.zeros(1200, EVENT_DTYPE)
        events["t"] = np.arange(1200) * 1000
        write_dat(tmp_path / f"{number}_td.dat", events)
    raws = sorted(tmp_path.glob("*_td.dat"))
    said, pages = [], []
    for workers in (1, 2):
        out, cache = tmp_path / f"release_{workers}", tmp_path / f"cache_{workers}" / "cache"
        said.append(run("ingest", *raws, out, "--workers", workers).stdout)
        assert run("voxelize", out, cache, *GRID).exit_code == 0
        pages.append(tmp_path / f"{workers}.html")
        assert run("stats", cache, "-o", pages[-1], "--workers", workers).exit_code == 0
    assert said[0] == said[1]
    assert [line.split(":")[0] for line in said[0].splitlines()[::3]] == [
        "train/train" + f"filelist00/{number}" for number in range(2)
    ]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_simulate_writes_a_release_that_scans_and_voxelizes(tmp_path):
    made = run(
        "simulate", tmp_path / "sim", "--size", "160x96", "--rate", 3000, "--seconds", 0.5,
        "--recordings", "train=1,test=1", "--classes", "car,bus",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    rules = ("--min-diagonal", 7.5, "--min-side", 2.5)
    scanned = run("scan", tmp_path / "sim", "-o", tmp_path / "m.json", *rules, "--json")
    facts = json.loads(scanned.stdout)
    assert facts["recordings"] == 2
    assert sum(facts["labels_kept"].values()) > 0
    assert run("voxelize", tmp_path / "m.json", tmp_path / "c", *GRID, *rules).exit_code == 0


def test_a_broken_window_is_named_and_told_by_the_exit_code(release, tmp_path):
    root = tmp_path / "release"
    shutil.copytree(release, root)
    damage_member(root / "train/trainfilelist00/events/rec_1/ev002.npz", "e4")
    result = run("voxelize", root, tmp_path / "c", *GRID)
    assert result.exit_code == LEFT_OUT_EXIT_CODE
    assert "left out: train/trainfilelist00/rec_1 shard 002 window 4: bad-crc" in result.stderr
    refused(
        "voxelize", root, tmp_path / "d", *GRID, "--on-corrupt", "fail", code=1, saying="ev002.npz"
    )


def test_verify_tells_a_damaged_recording_and_ends_with_one(release, tmp_path):
    assert run("voxelize", release, tmp_path / "c", *GRID).exit_code == 0
    chunk = tmp_path / "c/train/trainfilelist00/rec_1/pillars/c/0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 4
    chunk.write_bytes(data)
    result = run("verify", tmp_path / "c")
    assert result.exit_code == 1
    assert "rec_1: the array 'pillars' does not match its digest" in result.stderr


class TestBadInput:
    def test_missing_and_empty_folders(self, tmp_path):
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
    def test_a_shard_that_is_not_npz(self, release, tmp_path, content):
        root = tmp_path / "release"
        shutil.copytree(release, root)
        shard = root / "train/trainfilelist00/events/rec_0/ev001.npz"
        shard.write_bytes(content)
        refused(
            "voxelize", root, tmp_path / "c", *GRID, "--on-corrupt", "fail",
            code=1, saying=str(shard),
        )  # fmt: skip

    def test_objects_are_refused(self, release, tmp_path):
        root = tmp_path / "release"
        shutil.copytree(release, root)
        shard = root / "train/trainfilelist00/events/rec_0/ev001.npz"
        np.savez_compressed(shard, e0=np.array([print], dtype=object))
        refused(
            "voxelize", root, tmp_path / "c", *GRID, "--on-corrupt", "fail",
            code=1, saying="holds Python objects",
        )  # fmt: skip

    def test_a_manifest_that_is_none(self, release, tmp_path):
        path = tmp_path / "manifest.json"
        path.write_text("{}")
        refused("voxelize", path, tmp_path / "c", code=1, saying=str(path))
        refused("subset", path, "--budget", "1GB", "-o", tmp_path / "s.json", code=1, saying="json")
        assert not (tmp_path / "c").exists()
        assert not (tmp_path / "s.json").exists()

    def test_a_manifest_whose_files_are_gone(self, release, tmp_path):
        root = tmp_path / "release"
        shutil.copytree(release, root)
        run("scan", root, "-o", tmp_path / "m.json")
        gone = root / "train/trainfilelist00/events/rec_0/ev001.npz"
        gone.unlink()
        refused("voxelize", tmp_path / "m.json", tmp_path / "c", code=1, saying=str(gone))
        assert not (tmp_path / "c").exists()

    def test_a_budget_too_small_or_unreadable(self, manifest, tmp_path):
        output = tmp_path / "s.json"
        for budget, saying in (("1kB", "smallest recording"), ("lots", "not a size")):
            refused("subset", manifest, "--budget", budget, "-o", output, code=2, saying=saying)
        assert not output.exists()

    def test_a_cache_of_other_settings(self, release, tmp_path):
        assert run("voxelize", release, tmp_path / "c", *GRID).exit_code == 0
        refused(
            "voxelize", release, tmp_path / "c", "--grid", "32x32", code=1, saying="grid = [64, 64]"
        )

    def test_options_that_mean_nothing(self, release, tmp_path):
        cache = tmp_path / "c"
        refused("voxelize", release, cache, "--grid", "big", code=2, saying="not a size")
        refused("voxelize", release, cache, "--classes", "tram", code=2, saying="no class")
        refused("voxelize", release, cache, "--max-points", 9, code=2, saying="max_points")
        refused("simulate", cache, "--recordings", "train", code=2, saying="not like train=4")
        refused("simulate", cache, "--defects", "rust", code=2, saying="no defect")
        assert not cache.exists()


def test_help_answers_at_once_and_every_command_shows_an_example():
    # Imports decide this: the heavy ones stay inside the commands.
    code = (
        "import sys, cli.data; heavy = {'torch', 'numba', 'zarr', 'dask', 'matplotlib', 'numpy'}; "
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for name, command in main.commands.items():
        assert f"dmanet-data {name}" in run(name, "--help").output, name
        assert command.help
