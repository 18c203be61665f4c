"""Numbers, names and places that make no sense are refused in one sentence, before any work."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.data.commands import GRID, RECORDING, refused, run

VOXELIZE = ("voxelize", "{manifest}", "new")
SUBSET = ("subset", "{manifest}", "-o", "new")
SHOW = ("show", "{cache}", "--recording", RECORDING)
DIGITS = "9" * 5000


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "linked-pipe").symlink_to("pipe")
    return tmp_path


def tree(folder: Path) -> list[tuple[str, int, int]]:
    return sorted(
        (str(path), path.lstat().st_mode, 0 if path.is_dir() else path.lstat().st_size)
        for path in folder.rglob("*")
    )


@pytest.mark.parametrize(
    "arguments",
    [
        *[(*VOXELIZE, "--grid", size) for size in ("²x²", "0x5", "-1x5", "5x", "5x5x5", "٣x٣", "")],
        *[(*VOXELIZE, "--grid", size) for size in ("1000000000x1000000000", f"{DIGITS}x1", "nanx1")],
        *[(*VOXELIZE, "--min-side", n) for n in ("nan", "inf", "-1", "1e999", "x", "")],
        *[(*VOXELIZE, "--min-diagonal", n) for n in ("nan", "-inf", "-0.5")],
        *[(*VOXELIZE, "--workers", n) for n in ("0", "-1", "1000000000", DIGITS, "1.5", "²")],
        *[(*VOXELIZE, "--max-points", n) for n in ("0", "8", DIGITS)],
        *[(*VOXELIZE, "--max-pillars", n) for n in ("0", "-5", DIGITS)],
        *[(*VOXELIZE, "--time-cells", n) for n in ("0", "-1", DIGITS)],
        *[(*VOXELIZE, "--time-steps", n) for n in ("-1", "4097", "3.5")],
        *[(*VOXELIZE, "--parts", n) for n in ("0/1", "2/1", f"1/{DIGITS}", "¹/2", "1/2/3", "/")],
        *[(*VOXELIZE, "--classes", n) for n in ("", "car,car", "car,", "\n")],
        *[(*SUBSET, "--budget", n) for n in ("nan", "inf", "-1GB", "1e999GB", "٣GB", f"{DIGITS}GB")],
        *[(*SUBSET, "--budget", n) for n in ("9999999TB", "0", "", "GB", "1 GB GB", ".GB")],
        *[(*SUBSET, "--budget", "1GB", "--seed", n) for n in ("-1", DIGITS, str(2**63))],
        (*SUBSET, "--budget", "1GB", "--null"),
        *[(*SHOW, "--window", n, "-o", "new") for n in ("-1", DIGITS, "1.0")],
        *[(*SHOW, "--window", "1", "-o", "new", "--width", n) for n in ("0", "9999999", DIGITS)],
        (*SHOW[:3], "../../../etc", "--window", "1", "-o", "new"),
        (*SHOW[:3], "", "--window", "1", "-o", "new"),
        *[("verify", "{cache}", "--deep", "--root", ".", "--sample", n) for n in ("0", "-1", DIGITS)],
        ("verify", "{cache}", "--deep", "--root", ".", "--seed", "-1"),
        ("stats", "{cache}", "-o", "new", "--workers", "0"),
    ],
    ids=lambda arguments: " ".join(arguments)[:60].encode("unicode_escape").decode(),
)  # fmt: skip
def test_a_number_that_makes_no_sense(here, small_manifest, cache, arguments):
    before = tree(here)
    filled = [a.format(manifest=small_manifest, cache=cache) for a in arguments]
    refused(*filled, code=2, saying="")
    assert tree(here) == before


OUTPUTS = {
    "subset -o": ("subset", "{manifest}", "--budget", "1GB", "-o", "{out}"),
    "subset --files-from": (*SUBSET, "--budget", "1GB", "--files-from", "{out}"),
    "voxelize --report": (*VOXELIZE, "--report", "{out}"),
    "stats -o": ("stats", "{cache}", "-o", "{out}"),
    "stats --json": ("stats", "{cache}", "-o", "new", "--json", "{out}"),
    "show -o": (*SHOW, "--window", "1", "-o", "{out}"),
}
FOLDERS = {
    "voxelize": ("voxelize", "{manifest}", "{out}"),
    "subset --link": (*SUBSET, "--budget", "1GB", "--link", "{out}"),
    "subset --copy": (*SUBSET, "--budget", "1GB", "--copy", "{out}"),
}
NO_OUTPUTS = ["pipe", "linked-pipe", "loop", "/dev/null", "s3://bucket/name", "", "file/below"]
NO_OUTPUTS += ["a" * 300]


@pytest.mark.parametrize("place", [*NO_OUTPUTS, "folder", "{manifest}"])
@pytest.mark.parametrize("command", OUTPUTS)
def test_a_file_that_cannot_be_written(here, small_manifest, cache, command, place):
    if place == "{manifest}" and "{manifest}" not in OUTPUTS[command]:
        return
    before, sound = tree(here), small_manifest.read_bytes()
    out = place.format(manifest=small_manifest)
    filled = [a.format(manifest=small_manifest, cache=cache, out=out) for a in OUTPUTS[command]]
    refused(*filled, code=2, saying="")
    assert tree(here) == before
    assert small_manifest.read_bytes() == sound
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("place", [*NO_OUTPUTS, "file"])
@pytest.mark.parametrize("command", FOLDERS)
def test_a_folder_that_cannot_be_written(here, small_manifest, command, place):
    before = tree(here)
    filled = [a.format(manifest=small_manifest, out=place) for a in FOLDERS[command]]
    refused(*filled, code=2, saying="")
    assert tree(here) == before


@pytest.mark.parametrize(
    "place", ["pipe", "linked-pipe", "loop", "nowhere", "", "/dev/null", "a" * 300]
)
@pytest.mark.parametrize(
    "command",
    ["info", "verify", "stats -o new", "show --recording a/b/c --window 1 -o new", "voxelize",
     "subset --budget 1GB -o new"],
)  # fmt: skip
def test_an_input_that_cannot_be_read(here, command, place):
    before = tree(here)
    verb, *options = command.split()
    arguments = [verb, *options, place] + (["new"] if verb == "voxelize" else [])
    refused(*arguments, code=2, saying=place[:20])
    assert tree(here) == before


def test_content_on_standard_output_stands_there_alone(here, small_manifest, small_release):
    budget = ("--budget", "1GB")
    chosen = run("subset", small_manifest, *budget, "-o", "-")
    assert json.loads(chosen.stdout)["format"] == "dmanet-manifest"
    assert "of a budget of" in chosen.stderr
    listed = run("subset", small_manifest, *budget, "-o", "new.json", "--files-from", "-")
    assert all((small_release / line).exists() for line in listed.stdout.splitlines())
    report = run("voxelize", small_manifest, "c", *GRID, "--report", "-")
    assert json.loads(report.stdout)["format"] == "dmanet-voxelize-report"
    assert "windows" in report.stderr
    numbers = run("stats", "c", "-o", "r.html", "--json", "-")
    assert json.loads(numbers.stdout)["format"] == "dmanet-statistics"
    page = run("stats", "c", "-o", "-")
    assert page.stdout.startswith("<!DOCTYPE html>")
    refused("voxelize", small_manifest, "c", "--json", "--report", "-", code=2, saying="--json")


def test_quiet_is_one_line_and_json_stays_json(here, small_manifest):
    made = run("voxelize", small_manifest, "c", *GRID, "--quiet")
    assert made.output.startswith("c: 2 recordings (2 made now), 30 windows, ")
    assert len(made.output.splitlines()) == 1
    again = run("voxelize", small_manifest, "c", *GRID, "--quiet", "--json")
    assert json.loads(again.stdout)["recordings"] == 2


def test_a_name_that_is_not_utf8_is_printed_and_none_of_it_is_a_traceback(here, cache):
    name = os.fsdecode(b"c\xff")
    shutil.copytree(cache, name)
    for command in (
        ["info", name],
        ["verify", name],
        ["stats", name, "-o", "r.html", "--json", "j"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", "from cli.data import main; main()", *command],
            capture_output=True, env={**os.environ, "PYTHONUTF8": "1"}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    assert "c\\udcff" in (here / "r.html").read_text()
    assert "c\\udcff" in json.loads((here / "j").read_text())["source"]["name"]


def test_a_release_with_a_name_that_is_not_utf8_is_refused_before_any_work(here, small_release):
    root = Path(shutil.copytree(small_release, "release"))
    for kind in ("events", "labels"):
        folder = root / "train/trainfilelist00" / kind
        shutil.copytree(folder / "rec_0", folder / os.fsdecode(b"b\xff"))
    refused("voxelize", root, "c", *GRID, code=2, saying="not UTF-8")
    refused("scan", root, "-o", "m.json", code=2, saying="not UTF-8")
    assert not (here / "c").exists()
