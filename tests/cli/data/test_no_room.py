"""A full disk, and folders that must not be written: one sentence, and nothing half-written."""

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.cli.data.commands import GRID, RECORDING

REPOSITORY = Path(__file__).parents[3]
SUBSET = ("subset", "{manifest}", "--budget", "1GB", "-o", "{place}/m")
COMMANDS = {
    "voxelize": ("voxelize", "{manifest}", "{place}/c", *GRID, "--report", "{place}/r"),
    "voxelize in processes": ("voxelize", "{manifest}", "{place}/c", *GRID, "--workers", "2"),
    "subset": (*SUBSET, "--files-from", "{place}/f"),
    "subset --copy": (*SUBSET, "--copy", "{place}/t"),
    "stats": ("stats", "{cache}", "-o", "{place}/r.html", "--json", "{place}/r.json"),
    "show": ("show", "{cache}", "--recording", RECORDING, "--window", "1", "-o", "{place}/w.png"),
}
_DROP, _OVERRIDE = 24, 1  # linux/prctl.h, linux/capability.h


def limit_files(size: int) -> None:
    """No file beyond ``size`` bytes, which the system reports as it reports a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def bind_to_permissions() -> None:
    """The superuser, too, writes only where it may, once another program runs."""
    ctypes.CDLL(None).prctl(_DROP, _OVERRIDE, 0, 0, 0)


def run(command: str, prepare: Callable[[], None], **places: Path) -> subprocess.CompletedProcess:
    arguments = [word.format(**places) for word in COMMANDS[command]]
    return subprocess.run(
        [sys.executable, "-c", "from cli.data import main; main()", *arguments],
        cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, preexec_fn=prepare, check=False,
    )  # fmt: skip


def is_one_sentence(done: subprocess.CompletedProcess) -> bool:
    lines = [
        line for line in done.stderr.splitlines() if not line.startswith(("Usage", "Try", "stopp"))
    ]
    return len([line for line in lines if line]) == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "size"),
    [
        *((command, 300) for command in COMMANDS),
        ("voxelize", 1200),
        ("voxelize in processes", 1200),
    ],
)
def test_a_disk_without_room(small_manifest, cache, tmp_path, command, size):
    done = run(
        command, partial(limit_files, size), manifest=small_manifest, cache=cache, place=tmp_path
    )
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert is_one_sentence(done), done.stderr
    assert {p for p in tmp_path.rglob("*") if p.is_file()} <= {tmp_path / "c/zarr.json"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_must_not_be_written(small_manifest, cache, tmp_path, command):
    place = tmp_path / "locked"
    place.mkdir(mode=0o555)
    done = run(command, bind_to_permissions, manifest=small_manifest, cache=cache, place=place)
    assert done.returncode == 2, done.stderr
    assert f"{place}: cannot be written" in done.stderr
    assert is_one_sentence(done), done.stderr
    assert list(place.iterdir()) == []
