"""`dmanet-data voxelize` as a program: exit codes, signals, reports, parts."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from benchmarks.kill_writer import content, is_building
from cli.data.voxelize_output import LEFT_OUT_EXIT_CODE
from tests.cli.data.commands import GRID, refused, run
from tests.pipeline.releases import damage_member, write_recording

REPOSITORY = Path(__file__).parents[3]


def start(*arguments: object, **options) -> subprocess.Popen:
    """The command as a process of its own, leading a process group as in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-c", "from cli.data import main; main()", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        start_new_session=True,
        **options,
    )


@pytest.fixture(scope="module")
def long_release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "release"
    for k in range(4):
        write_recording(
            root, f"train/trainfilelist00/rec_{k}", range(1, 5), events_per_window=20_000, seed=k
        )
    return root


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("small") / "release"
    for k in range(3):
        write_recording(root, f"train/trainfilelist00/rec_{k}", shards=(1,), seed=k)
    return root


@pytest.mark.parametrize(
    ("number", "workers", "exit_code"),
    [(signal.SIGINT, 1, 130), (signal.SIGTERM, 1, 143), (signal.SIGINT, 2, 130)],
)
def test_a_signal_stops_cleanly_and_the_same_command_continues(
    long_release, tmp_path, number, workers, exit_code
):
    cache = tmp_path / "c"
    command = ("voxelize", long_release, cache, "--workers", workers)
    process = start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not is_building(cache):
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, number)  # as Ctrl-C and batch systems do: to the workers, too
    output, errors = process.communicate()
    assert process.returncode == exit_code
    assert output == ""
    assert len(errors.strip().splitlines()) == 1, errors
    assert "of 4 recordings complete; run the same command again to continue" in errors
    assert {path.name for path in cache.iterdir()} <= {"train", "zarr.json"}
    assert run(*command[:3]).exit_code == 0
    assert run("voxelize", long_release, tmp_path / "calm").exit_code == 0
    assert content(cache) == content(tmp_path / "calm")


def test_left_out_windows_are_reported_by_the_run_that_left_them_out_and_by_later_ones(
    small, tmp_path
):
    root, report = tmp_path / "release", tmp_path / "reports" / "report.json"
    shutil.copytree(small, root)
    damage_member(root / "train/trainfilelist00/events/rec_1/ev001.npz", "e4")
    place = {
        "recording": "train/trainfilelist00/rec_1",
        "shard": 1,
        "member": 4,
        "defect": "bad-crc",
        "repeated": False,
    }
    for made in (3, 0):
        result = run("voxelize", root, tmp_path / "c", *GRID, "--report", report)
        assert result.exit_code == 3
        assert "left out: train/trainfilelist00/rec_1 shard 001 window 4: bad-crc" in result.stderr
        document = json.loads(report.read_text())
        assert document["left_out"] == [place]
        assert document["defects"]["bad-crc"] == 1
        assert document["windows"] == 29
        assert document["recordings"] == {
            "made": made,
            "already_complete": 3 - made,
            "failed": 0,
            "waiting": 0,
        }
    info = json.loads(run("info", tmp_path / "c", "--json").stdout)
    assert info["left_out_windows"] == [place]
    assert document["fingerprint"] == info["fingerprint"]
    # Other recordings are not concerned.
    shutil.rmtree(root / "train/trainfilelist00/events/rec_1")
    shutil.rmtree(root / "train/trainfilelist00/labels/rec_1")
    assert run("voxelize", root, tmp_path / "c", *GRID).exit_code == 0


def test_a_failed_recording_is_listed_while_the_others_finish(small, tmp_path):
    root, report = tmp_path / "release", tmp_path / "report.json"
    shutil.copytree(small, root)
    events = root / "train/trainfilelist00/events/rec_1/ev001.npz"
    events.unlink()
    events.symlink_to(tmp_path / "gone.npz")
    result = run("voxelize", root, tmp_path / "c", *GRID, "--report", report)
    assert result.exit_code == 1
    assert f"failed: train/trainfilelist00/rec_1: {events}: No such file" in result.stderr
    document = json.loads(report.read_text())
    assert document["recordings"]["made"] == 2
    assert [failed["recording"] for failed in document["failed"]] == ["train/trainfilelist00/rec_1"]


def test_parts_and_recordings_not_downloaded_yet(small, tmp_path):
    root, manifest, cache = tmp_path / "release", tmp_path / "manifest.json", tmp_path / "c"
    shutil.copytree(small, root)
    assert run("scan", root, "-o", manifest).exit_code == 0
    shutil.rmtree(root / "train/trainfilelist00/events/rec_2")
    first = run("voxelize", manifest, cache, *GRID, "--parts", "1/2", "--skip-missing")
    assert first.exit_code == 0
    assert "1 recordings wait for their files" in first.stderr
    second = run("voxelize", manifest, cache, *GRID, "--parts", "2/2", "--json")
    assert json.loads(second.stdout)["recordings"] == 2
    missing = run("voxelize", manifest, cache, *GRID)
    assert missing.exit_code == 1
    assert "rec_2" in missing.stderr
    for wrong in ("3/2", "two"):
        refused = run("voxelize", manifest, cache, *GRID, "--parts", wrong)
        assert refused.exit_code == 2
        assert "from 1/8 to 8/8" in refused.stderr


def test_a_scheduler_that_does_not_answer_is_one_sentence_and_leaves_nothing(
    small, tmp_path, monkeypatch
):
    monkeypatch.setattr("pipeline.tasks.dask_workers._CONNECT", "1s")
    result = run("voxelize", small, tmp_path / "c", "--scheduler", "tcp://127.0.0.1:1")
    assert result.exit_code == 2
    assert "no dask scheduler answers there" in result.stderr
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["zarr.json"]


def test_the_bar_shows_recordings_rate_and_time_left(long_release, tmp_path):
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 100))
    process = start(
        "voxelize", long_release, tmp_path / "c", stdout=subprocess.DEVNULL, stderr=end, stdin=end
    )
    os.close(end)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the terminal's other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    assert process.wait() == 0
    text = shown.decode()
    assert "/4 recordings" in text
    assert re.search(r"[kMG]B/s", text)
    assert re.search(r"\d\d:\d\d<\d\d:\d\d", text)  # time passed, time left


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
