"""Every command that writes, on a disk that is full, nearly full, or cannot be written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.fixtures import make_fixtures
from tests.fuzz.full_disk import COMMANDS, LEFT
from tests.fuzz.sandbox import judge

_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
_SENTENCES = (
    "No space left on device",
    "Read-only file system",
    "cannot be written",
    "its disk has",
    "this disk has",
)


def _may_mount() -> bool:
    return bool(shutil.which("unshare")) and not subprocess.run([*_NAMESPACE, "true"]).returncode


pytestmark = pytest.mark.skipif(not _may_mount(), reason="needs user namespaces")


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict]:
    """How each command ended in each state of the disk."""
    place = tmp_path_factory.mktemp("disk")
    fixtures, disk = place / "fixtures", place / "disk"
    fixtures.mkdir()
    disk.mkdir()
    make_fixtures(fixtures, with_network=True)
    run = subprocess.run(
        [*_NAMESPACE, sys.executable, "-m", "tests.fuzz.full_disk", str(fixtures), str(disk)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        check=True,
    )
    return {(row["state"], row["name"]): row for row in json.loads(run.stdout)}


@pytest.mark.parametrize("state", LEFT)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_takes_no_more_is_one_sentence_and_nothing_half_written_stays(
    endings: dict[tuple[str, str], dict], name: str, state: str
) -> None:
    """Only what holds a whole state stays: a run's folder, a cache's settings."""
    ending = endings[state, name]
    assert not judge(ending["code"], ending["said"], [*_SENTENCES]), ending
    if ending["code"] == 0:
        assert state == "nearly full"
        return
    assert "disk0/disk" in ending["said"]
    assert "/.out" not in ending["said"]
    left = set(ending["files"]) - {"out"}
    if name == "train":
        assert not any(path.endswith(".pt") for path in left)
    elif name == "voxelize":
        assert left <= {"out/zarr.json"}
    else:
        assert not ending["files"]
