"""Whatever a shard claims or holds, a process that scans or voxelizes stays below 500 MB."""

import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from pipeline.defects import Defect
from pipeline.release.members import MOST_BOXES, MOST_EVENTS
from pipeline.release.npz import EVENT_BOUNDS, LABEL_BOUNDS
from pipeline.release.shards import LABEL_DTYPE, shard_path
from pipeline.selection.manifest import read_manifest
from tests.pipeline.releases import write_recording

RECORDING = "train/trainfilelist00/a"
BOUND = 500_000_000  # bytes
# Runs the command in a child and says the most memory that the child held.
MEASURE = """
import resource, subprocess, sys
code = "from cli.data import main; main()"
done = subprocess.run([sys.executable, "-c", code, *sys.argv[1:]], capture_output=True, text=True)
sys.stderr.write(done.stderr)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def write_archive(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def claim(path, size):
    """Let every member's directory entry claim ``size`` bytes."""
    data = path.read_bytes()
    parts = data.split(b"PK\x01\x02")
    parts[1:] = [part[:20] + size.to_bytes(4, "little") + part[24:] for part in parts[1:]]
    path.write_bytes(b"PK\x01\x02".join(parts))


def million_entries():
    entry = bytearray(b"PK\x01\x02" + bytes(42))
    entry[28:30] = (1).to_bytes(2, "little")
    entries = bytes(entry + b"a") * 1_000_000
    end = b"PK\x05\x06" + bytes(4) + 2 * (1_000_000 % 65536).to_bytes(2, "little")
    return entries + end + len(entries).to_bytes(4, "little") + bytes(6)


def largest_windows():
    """Four columns of as many events as a window may have, not in order of time."""
    rng = np.random.default_rng(0)
    events = np.empty((MOST_EVENTS, 4), "<i4")
    events[:, 0] = 3_000_000 + rng.integers(0, 50_000, MOST_EVENTS)
    events[:, 1] = rng.integers(0, 1280, MOST_EVENTS)
    events[:, 2] = rng.integers(0, 720, MOST_EVENTS)
    events[:, 3] = rng.integers(0, 2, MOST_EVENTS)
    return npy(events)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    write_recording(root, RECORDING, shards=range(1, 8), events_per_window=50)
    events = {n: shard_path(root, RECORDING, n, "events") for n in range(1, 8)}
    bomb = npy(np.zeros(200 << 20, np.uint8))
    write_archive(events[1], {f"e{k}": bomb for k in range(2)})
    claim(events[1], EVENT_BOUNDS.member)
    write_archive(events[2], {"e0": bomb})
    write_archive(
        events[3], {"e0": npy(np.zeros((0, 4), "<i4")).replace(b"(0, 4)", b"(1000000000000, 4)")}
    )
    events[4].write_bytes(million_entries())
    os.truncate(events[5], 1 << 40)
    # As large as a file may be, with as many events and as many bytes as a member may have.
    padding = bytes(EVENT_BOUNDS.file - (49 << 20))
    write_archive(events[6], {"e0": largest_windows(), "padding": padding}, zipfile.ZIP_STORED)
    events[7].unlink()
    events[7].hardlink_to(events[6])
    boxes = npy(np.zeros(MOST_BOXES, LABEL_DTYPE))
    for number in range(1, 8):
        members = {f"l{k}": boxes for k in range(10)}
        members["l9"] = npy(np.zeros(LABEL_BOUNDS.member - 128, np.uint8))
        write_archive(shard_path(root, RECORDING, number, "labels"), members)
    return root


def peak(code, *arguments):
    """The most bytes that a command held, which ended with ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, arguments)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    ended, memory = map(int, done.stdout.split())
    assert ended == code, done.stderr
    return memory


def test_a_scan_of_hostile_shards_stays_below_the_bound(hostile, tmp_path):
    assert peak(0, "scan", hostile, "-o", tmp_path / "m.json", "--quiet") < BOUND
    (row,) = read_manifest(tmp_path / "m.json").recordings
    fatal = (Defect.BAD_CRC, Defect.TOO_LARGE, Defect.UNREADABLE_FILE)
    assert [row.defects[defect] for defect in fatal] == [2, 9, 2]


@pytest.mark.parametrize("preset", ["release", "paper"])
def test_voxelizing_hostile_shards_stays_below_the_bound(hostile, tmp_path, preset):
    assert peak(3, "voxelize", hostile, tmp_path / "c", "--preset", preset, "--quiet") < BOUND
