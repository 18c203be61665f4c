"""`verify` finds every change of a cache, whatever file it is in, and never ends in a traceback."""

import os
import random
import shutil
import socket
from pathlib import Path

import pytest

from pipeline.cache.settings import CacheSettings
from pipeline.cache.verify import verify_cache
from pipeline.errors import PipelineError
from tests.pipeline.caches import make_cache
from tests.pipeline.releases import write_recording

RECORDING = "train/trainfilelist00/rec_a"
OTHER = "train/trainfilelist00/rec_b"
FLIPS_IN_A_FILE = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("release")
    write_recording(root, RECORDING, shards=(1,))
    write_recording(root, OTHER, shards=(1,), seed=1)
    settings = CacheSettings(grid=(64, 64))
    return Path(make_cache(root, root.parent / f"{root.name}-cache", settings).location)


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    return shutil.copytree(folder, tmp_path / "cache")


def found(cache: Path) -> bool:
    """Whether something is wrong, said in sentences of one line."""
    try:
        messages = [finding.message for finding in verify_cache(cache)]
    except PipelineError as error:
        messages = [str(error)]
    assert all("\n" not in message for message in messages)
    return bool(messages)


def test_one_flipped_bit_anywhere_is_found(copy):
    rng = random.Random(0)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    assert {len(path.relative_to(copy).parts) for path in files} == {1, 2, 3, 4, 5, 6, 7}
    missed = []
    for path in files:
        sound = path.read_bytes()
        bits = {0, 7, 8 * len(sound) - 1} | {
            rng.randrange(8 * len(sound)) for _ in range(FLIPS_IN_A_FILE)
        }
        for bit in sorted(bits):
            damaged = bytearray(sound)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            if not found(copy):
                missed.append((path, bit))
        path.write_bytes(sound)
    assert not missed
    assert not found(copy)


def swap(cache: Path, one: str, other: str) -> None:
    content = (cache / one).read_bytes()
    (cache / one).write_bytes((cache / other).read_bytes())
    (cache / other).write_bytes(content)


def replace(path: Path, make) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    make(path)


def listen(path: Path) -> None:
    """A socket; its name may be longer than a socket's address can be."""
    here = os.open(path.parent, os.O_RDONLY)
    socket.socket(socket.AF_UNIX).bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


CHANGES = {
    "a file truncated": lambda c: os.truncate(c / RECORDING / "points/c/0", 30),
    "a file emptied": lambda c: os.truncate(c / RECORDING / "zarr.json", 0),
    "the root emptied": lambda c: os.truncate(c / "zarr.json", 0),
    "a file longer": lambda c: (c / "train/zarr.json").open("a").write(" "),
    "a chunk gone": lambda c: (c / RECORDING / "pillars/c/0").unlink(),
    "a chunk more": lambda c: shutil.copy(
        c / RECORDING / "pillars/c/0", c / RECORDING / "pillars/c/1"
    ),
    "chunks swapped": lambda c: swap(c, f"{RECORDING}/points/c/0", f"{OTHER}/points/c/0"),
    "an array gone": lambda c: shutil.rmtree(c / RECORDING / "batch_id"),
    "an array renamed": lambda c: (c / RECORDING / "labels").rename(c / RECORDING / "label"),
    "a recording renamed": lambda c: (c / RECORDING).rename(c / "train/trainfilelist00/rec_c"),
    "a recording moved": lambda c: (c / "train").rename(c / "val"),
    "recordings swapped": lambda c: swap(c, f"{RECORDING}/zarr.json", f"{OTHER}/zarr.json"),
    "a recording hidden": lambda c: (c / RECORDING).rename(c / "train/trainfilelist00/.rec_a"),
    "a group's file gone": lambda c: (c / "train/zarr.json").unlink(),
    "a file at the root": lambda c: (c / "notes.txt").write_text("mine"),
    "a hidden file": lambda c: (c / "train/.DS_Store").write_text("mine"),
    "a hidden file in an array": lambda c: (c / RECORDING / "windows/.DS_Store").write_text("mine"),
    "a file in the filelist": lambda c: (c / "train/trainfilelist00/a.npz").write_text("mine"),
    "an empty split": lambda c: (c / "traim").mkdir(),
    "an empty recording": lambda c: (c / "train/trainfilelist00/rec_c").mkdir(),
    "a pipe for a chunk": lambda c: replace(c / RECORDING / "points/c/0", os.mkfifo),
    "a pipe for attributes": lambda c: replace(c / RECORDING / "zarr.json", os.mkfifo),
    "a pipe for an array": lambda c: replace(c / RECORDING / "points", os.mkfifo),
    "a pipe for a group's file": lambda c: replace(c / "train/zarr.json", os.mkfifo),
    "a pipe for the root's file": lambda c: replace(c / "zarr.json", os.mkfifo),
    "a pipe more": lambda c: os.mkfifo(c / RECORDING / "points/c/1"),
    "a socket for a chunk": lambda c: replace(c / RECORDING / "points/c/0", listen),
    "a folder for a chunk": lambda c: replace(c / RECORDING / "points/c/0", Path.mkdir),
    "a folder for attributes": lambda c: replace(c / RECORDING / "zarr.json", Path.mkdir),
    "a file for an array": lambda c: replace(c / RECORDING / "points", Path.touch),
    "a link to nothing": lambda c: (c / RECORDING / "points/c/1").symlink_to("nothing"),
    "a link to itself": lambda c: (c / RECORDING / "points/c/1").symlink_to("1"),
    "a link for a chunk to itself": lambda c: replace(
        c / RECORDING / "points/c/0", lambda path: path.symlink_to("0")
    ),
    "a link to the folder above": lambda c: (c / RECORDING / "points/up").symlink_to(".."),
    "a large file": lambda c: os.truncate(c / RECORDING / "points/c/0", 1 << 40),
    "large attributes": lambda c: os.truncate(c / RECORDING / "zarr.json", 1 << 40),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_tree_is_found(copy, name):
    CHANGES[name](copy)
    assert found(copy)


def test_permissions_and_times_are_no_fault(copy):
    for path in copy.rglob("*"):
        path.chmod(0o777)
        os.utime(path, (0, 0))
    assert not found(copy)
