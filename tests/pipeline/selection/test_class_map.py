"""Releases of other data sets, from the scan to a subset's tree."""

import json

import pytest

from pipeline.defects import Defect
from pipeline.errors import ManifestError
from pipeline.release.classes import CLASS_MAPS
from pipeline.release.sensors import read_release, write_sensor
from pipeline.release.shards import write_shard
from pipeline.selection.manifest import read_manifest, write_manifest
from pipeline.selection.scan import scan_release
from pipeline.selection.subset import choose_subset
from pipeline.selection.tree import assemble_tree
from pipeline.statistics.info import manifest_info
from tests.pipeline.sound_recordings import boxes, window_events

A = "train/trainfilelist00/a"
WINDOWS = [window_events(10 + k) for k in range(10)]


def test_boxes_are_counted_by_the_names_of_the_releases_class_map(tmp_path):
    two = boxes((5, 5, 30, 10, 1), (9, 9, 90, 90, 2))
    labels = [boxes((5, 5, 10, 30, 0)), two, *([boxes()] * 8)]
    write_shard(tmp_path, A, 1, WINDOWS, labels)
    write_sensor(tmp_path, A, (304, 240), CLASS_MAPS["gen1"])
    manifest = scan_release(tmp_path)
    (row,) = manifest.recordings
    assert manifest.class_map == CLASS_MAPS["gen1"]
    assert row.labels == {"car": 1, "pedestrian": 1}
    assert row.kept == {"car": 1, "pedestrian": 1}  # at least 10 pixels a side, 30 across
    assert row.defects[Defect.WRONG_CLASS] == 1
    assert manifest.totals.labels == row.labels
    strict = scan_release(tmp_path, min_side=20).recordings[0]
    assert strict.kept == {"car": 0, "pedestrian": 0}
    write_manifest(manifest, tmp_path / "manifest.json")
    assert read_manifest(tmp_path / "manifest.json") == manifest
    subset = choose_subset(manifest, row.bytes, classes=["car"])
    assert subset.manifest.subset.classes == ("car",)
    write_manifest(subset.manifest, tmp_path / "subset.json")
    assert read_manifest(tmp_path / "subset.json") == subset.manifest
    assert {line.class_name for line in subset.drift.rows} == {"car"}
    assemble_tree(subset.manifest, tmp_path / "tree")
    assert read_release(tmp_path / "tree").class_map == CLASS_MAPS["gen1"]


def test_what_a_record_keeps_is_not_taken_over_where_the_classes_change(tmp_path):
    root, record = tmp_path / "release", tmp_path / "m.json.scan"
    write_shard(root, A, 1, WINDOWS, [boxes((5, 5, 90, 90, 1), (9, 9, 90, 90, 2))] * 10)
    for name in ("gen1", "etram"):
        (root / "release.json").unlink(missing_ok=True)
        write_sensor(root, A, (304, 240), CLASS_MAPS[name])
        for _ in range(2):
            found = scan_release(root, labels_only=True, record=record)
            assert found == scan_release(root, labels_only=True)
        (row,) = found.recordings
        assert tuple(row.labels) == CLASS_MAPS[name].classes
        assert row.defects.get(Defect.WRONG_CLASS, 0) == (10 if name == "gen1" else 0)


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("gen1", {}),  # which has no class 2
        ("etram", {"pedestrian": 0, "vehicle": 0, "micro-mobility": 1}),
    ],
)
def test_faulty_boxes_are_counted_by_the_class_maps_names(tmp_path, name, faults):
    labels = [boxes(*[(100, 100, 80, 60, 2)] * 2), *([boxes()] * 9)]
    write_shard(tmp_path, A, 1, WINDOWS, labels)
    write_sensor(tmp_path, A, (1280, 720), CLASS_MAPS[name])
    manifest = scan_release(tmp_path)
    found = manifest.recordings[0].label_checks.faults
    assert found == ({Defect.DUPLICATE_BOX: faults} if faults else {})
    shown = manifest_info(manifest)["box_faults"]
    assert shown == ({"duplicate-box": {"micro-mobility": 1}} if faults else {})
    write_manifest(manifest, tmp_path / "manifest.json")
    assert read_manifest(tmp_path / "manifest.json") == manifest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda top: top["class_map"].update(classes=["car", "pedestrian", "dog"]),
            "do not list the classes car, pedestrian, dog;",
        ),
        (lambda top: top["class_map"].update(classes=[]), "class_map"),
        (lambda top: top["class_map"].update(more=1), "class_map"),
        (lambda top: top.update(class_map=[]), "class_map"),
        (lambda top: top.pop("class_map"), "do not list the classes pedestrian, two wheeler"),
        (lambda top: top["subset"].update(classes=["bus"]), "the subset was chosen for classes"),
    ],
)
def test_a_manifest_whose_class_map_is_wrong_is_refused(tmp_path, change, says):
    write_shard(tmp_path, A, 1, WINDOWS, [boxes((5, 5, 30, 30, 0))] * 10)
    write_sensor(tmp_path, A, (304, 240), CLASS_MAPS["gen1"])
    path = tmp_path / "manifest.json"
    write_manifest(choose_subset(scan_release(tmp_path), 1 << 40).manifest, path)
    top = json.loads(path.read_text())
    change(top)
    path.write_text(json.dumps(top))
    with pytest.raises(ManifestError, match=says) as caught:
        read_manifest(path)
    assert str(caught.value).endswith("scan the release again.")
