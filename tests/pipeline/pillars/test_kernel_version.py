"""A cache is trusted by its versions: output that changes under an unchanged version fails here."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache.settings import CacheSettings
from pipeline.pillars.bit_layout import KERNEL_VERSION
from pipeline.pillars.packing import Workspace, pack_window
from pipeline.release.labels import apply_label_rules
from pipeline.release.members import read_events, read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.shards import SENSOR_SIZE, walk_release

# This repository's own windows, not those that DMANET_GOLDEN may name.
GOLDEN = Path(__file__).parents[2] / "data" / "golden"

#: What each kernel version makes of the golden windows: sha256 by settings. When the output has to
#: change, raise KERNEL_VERSION and add its row; published rows stay as they are.
OUTPUT = {
    1: {
        "release": "090cc5a50c21f9b2dfe736d7a962da84434f416b370fbad4eb49c94372f96475",
        "release, coarse": "bf97083559fad7ec76304ee4d6838f9ad049284bb1b05158b2d49da107a069d2",
        "paper": "bfec6c93fb0a8dc0cb8854db772c73078736d6cb82529ecbdcaede3c63549144",
        "paper, coarse": "be1c6d4407bc1befc5239b0b1ae0f273e1ee23a86af6a696e99ee5fc04623a1b",
        "paper, 256 steps": "0a7c1a4636c1229a92871a127d5328a759249d935b64093338d1b30e062431d2",
    }
}
SETTINGS = {
    "release": CacheSettings(preset="release"),
    "release, coarse": CacheSettings(
        preset="release",
        grid=(96, 64),
        time_cells=2,
        max_pillars=500,
        classes=(2, 0),
        min_side=40.0,
    ),
    "paper": CacheSettings(preset="paper"),
    "paper, coarse": CacheSettings(
        preset="paper",
        grid=(96, 64),
        time_cells=4,
        max_points=3,
        max_pillars=500,
        dedup="none",
        overflow="stop",
    ),
    "paper, 256 steps": CacheSettings(preset="paper", time_steps=256),
}


def golden_windows() -> Iterator[np.ndarray]:
    with np.load(GOLDEN / "voxels.npz") as arrays:
        for name in sorted(arrays.files):
            if name.endswith("/events"):
                yield arrays[name]
    for files in walk_release(GOLDEN / "shard"):
        for shard in files.shards:
            for member in range(10):
                yield read_events(NpzFile(shard.events), member)


def golden_labels() -> Iterator[np.ndarray]:
    with np.load(GOLDEN / "labels.npz") as arrays:
        for name in sorted(arrays.files):
            if name.endswith("/labels"):
                yield arrays[name]
    for files in walk_release(GOLDEN / "shard"):
        for shard in files.shards:
            for member in range(10):
                yield read_labels(NpzFile(shard.labels), member)


def output_digest(settings: CacheSettings) -> str:
    """sha256 over everything a cache stores of a window that code decides, with its dtypes."""
    digest = hashlib.sha256()

    def add(*arrays: np.ndarray) -> None:
        for array in arrays:
            digest.update(f"{array.dtype.str} {array.shape} ".encode())
            digest.update(array.tobytes())

    workspace = Workspace(settings.encoding(SENSOR_SIZE))
    for events in golden_windows():
        window = pack_window(events, workspace)
        add(*window.pillars, *window.points)
        counts = window.counts
        facts = (window.t_first, window.span, counts.read, counts.in_range, counts.kept)
        add(np.array([*facts, counts.positive_in_range], np.int64))
    for labels in golden_labels():
        kept = apply_label_rules(labels, settings.label_rules(SENSOR_SIZE))
        add(kept.boxes, kept.classes, kept.rows)
    return digest.hexdigest()


def test_the_golden_windows_are_there():
    assert sum(len(events) for events in golden_windows()) > 50_000
    assert sum(len(labels) for labels in golden_labels()) > 50


@pytest.mark.parametrize("name", SETTINGS)
def test_the_kernels_give_what_their_version_gave(name):
    assert output_digest(SETTINGS[name]) == OUTPUT[KERNEL_VERSION][name], (
        "the output changed: raise KERNEL_VERSION and add a row to OUTPUT, or undo the change"
    )


def test_no_two_versions_are_the_same():
    rows = [tuple(row.values()) for row in OUTPUT.values()]
    assert len(set(rows)) == len(rows)
    assert sorted(OUTPUT) == list(range(1, KERNEL_VERSION + 1))
