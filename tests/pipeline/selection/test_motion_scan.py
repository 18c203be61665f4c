"""A scan counts boxes at rest, slow and moving; manifests of before are read as they were."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import ManifestError
from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE, WINDOW_US, write_shard
from pipeline.selection.manifest import read_manifest, write_manifest
from pipeline.selection.scan import scan_release
from pipeline.statistics.info import info_lines, manifest_info
from tests.pipeline.selection.motion_release import SENSOR, expected_counts, write_release


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion") / "release"
    write_release(folder)
    return folder


@pytest.fixture(scope="module")
def manifest(root):
    return scan_release(root)


def test_a_scan_counts_what_a_search_by_track_counts(root, manifest):
    (row,) = manifest.recordings
    expected = expected_counts(root)
    assert row.label_checks.motion == expected
    assert min(expected["resting"], expected["slow"], expected["moving"]) > 0
    assert sum(expected.values()) == sum(row.labels.values())


def test_the_facts_and_their_lines_have_shares(root, manifest):
    facts = manifest_info(manifest)
    assert facts["motion"] == expected_counts(root)
    (line,) = (one for one in info_lines(facts) if one.startswith("  moving "))
    assert f"{facts['motion']['moving']} (" in line
    assert line.endswith("%)")


def test_without_tracks_events_tell_and_without_events_nothing(tmp_path):
    """Boxes of no track: on 1 000 events a window, on few, and outside the sensor."""
    rng = np.random.default_rng(1)
    windows, labels = [], []
    for k in range(10, 20):
        events = np.zeros(1100, EVENT_DTYPE)
        events["t"] = np.sort(rng.integers(k * WINDOW_US, (k + 1) * WINDOW_US, len(events)))
        events["x"] = np.append(rng.integers(0, SENSOR[0], 100), rng.integers(100, 160, 1000))
        events["y"] = np.append(rng.integers(0, SENSOR[1], 100), rng.integers(100, 160, 1000))
        boxes = np.zeros(3, LABEL_DTYPE)
        boxes["t"], boxes["class_id"], boxes["class_confidence"] = k * WINDOW_US, 2, 1
        boxes["x"], boxes["y"], boxes["w"], boxes["h"] = (100, 300, 5000), (100, 200, 10), 60, 60
        windows.append(events)
        labels.append(boxes)
    write_shard(tmp_path / "r", "train/trainfilelist00/a", 1, windows, labels)
    (row,) = scan_release(tmp_path / "r").recordings
    assert row.label_checks.motion == {"resting": 10, "slow": 0, "moving": 10, "unknown": 10}
    (row,) = scan_release(tmp_path / "r", labels_only=True).recordings
    assert row.label_checks.motion == {"resting": 0, "slow": 0, "moving": 0, "unknown": 30}


def test_tracks_alone_are_enough(root, manifest):
    (row,) = scan_release(root, labels_only=True).recordings
    assert row.label_checks.motion == manifest.recordings[0].label_checks.motion


def test_a_manifest_of_before_motion_is_read_and_keeps_its_digest(manifest, tmp_path):
    rows = tuple(
        replace(row, label_checks=replace(row.label_checks, motion=None))
        for row in manifest.recordings
    )
    before = replace(manifest, recordings=rows)
    write_manifest(before, tmp_path / "m.json")
    content = json.loads((tmp_path / "m.json").read_text())
    assert "motion" not in content["recordings"][0]["label_checks"]
    assert read_manifest(tmp_path / "m.json") == before
    assert read_manifest(tmp_path / "m.json").digest == before.digest != manifest.digest
    assert "motion" not in manifest_info(before)


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (lambda motion: motion.update(resting=motion["resting"] + 1), "not that of all its boxes"),
        (lambda motion: motion.pop("slow"), "not counted by resting, slow"),
        (lambda motion: motion.update(slow=-1), "motion"),
        (lambda motion: motion.update(slow=math.pi), "motion"),
    ],
)
def test_counts_that_no_scan_writes_are_refused(manifest, tmp_path, change, saying):
    path = tmp_path / "m.json"
    write_manifest(manifest, path)
    content = json.loads(path.read_text())
    change(content["recordings"][0]["label_checks"]["motion"])
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=saying):
        read_manifest(path)
