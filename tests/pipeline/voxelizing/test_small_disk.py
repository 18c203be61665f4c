"""The documented loop for a small disk, run as it stands."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.cache.verify import verify_cache
from tests.pipeline.caches import make_cache
from tests.pipeline.releases import write_recording

DOCUMENT = Path(__file__).parents[3] / "docs" / "small-disk.md"
PARTS = (
    "train/trainfilelist00/events",
    "train/trainfilelist01/events/rec_2",
    "test/testfilelist00/events",
)
# A download that fails at the third part while the file `offline` is there, and tells what the disk
# holds: never more events than those of one part.
DOWNLOAD = """
download() {
    find release -name 'ev*.npz' | wc -l >> "events_on_disk.txt"
    mkdir -p "release/$1"
    if [ -e offline ] && [ "$1" = train/trainfilelist01/events/rec_2 ]; then
        cp "server/$1/ev001.npz" "release/$1"
        return 1
    fi
    cp -r "server/$1/." "release/$1/"
}
dmanet-data() { "$PYTHON" -c 'from cli.data import main; main()' "$@"; }
"""


def block(name: str) -> str:
    """The document's shell code that begins with ``# name``."""
    return next(
        part.split("```")[0]
        for part in DOCUMENT.read_text().split("```bash\n")
        if part.startswith(f"# {name}\n")
    )


@pytest.fixture
def disk(tmp_path) -> Path:
    server = tmp_path / "server"
    for k in range(3):
        write_recording(server, f"train/trainfilelist0{k // 2}/rec_{k}", seed=k)
    damaged = server / "train/trainfilelist00/events/rec_1/ev002.npz"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    write_recording(server, "test/testfilelist00/rec_t", shards=(1,), seed=8)
    for path in server.rglob("lb*.npz"):
        target = tmp_path / "release" / path.relative_to(server)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (tmp_path / "parts.txt").write_text("\n".join(PARTS) + "\n")
    return tmp_path


def shell(disk: Path, code: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(DOCUMENT.parents[1]),
    }
    return subprocess.run(
        ["bash", "-c", DOWNLOAD + code], cwd=disk, env=environment, capture_output=True, text=True
    )


def test_the_loop_ends_with_the_cache_of_the_whole_release(disk):
    assert shell(disk, block("labels")).returncode == 0
    (disk / "offline").touch()
    broken_off = shell(disk, block("loop"))
    assert broken_off.returncode == 1, broken_off.stderr
    assert len(PillarCache(disk / "cache").recording_ids) == 2

    (disk / "offline").unlink()
    finished = shell(disk, block("loop"))
    assert finished.returncode == 0, finished.stderr
    assert "missing_filelists  none" in finished.stdout
    assert "complete           4" in finished.stdout
    assert "left_out             10" in finished.stdout  # the damaged shard's windows
    assert not list((disk / "release").rglob("ev*.npz"))
    seen = [int(line) for line in (disk / "events_on_disk.txt").read_text().split()]
    assert seen == [0, 0, 1, 0]  # before each download; the broken one left a file
    assert verify_cache(disk / "cache") == []

    whole = make_cache(disk / "server", disk / "whole", CacheSettings())
    assert whole.recording_ids == PillarCache(disk / "cache").recording_ids
    for path in (disk / "whole").rglob("*"):
        if path.is_file():
            there = disk / "cache" / path.relative_to(disk / "whole")
            assert path.read_bytes() == there.read_bytes(), path
