"""What a manifest says of the checks of boxes, and how strictly it is read back."""

import json
from dataclasses import replace

import pytest

from pipeline.defects import Defect
from pipeline.errors import ManifestError
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.shards import write_shard
from pipeline.selection.box_scan import MOST_WORST
from pipeline.selection.manifest import read_manifest, write_manifest
from pipeline.selection.scan import scan_release
from pipeline.statistics.info import info_lines, manifest_info
from tests.pipeline.sound_recordings import boxes, window_events, write_recording

A = "train/trainfilelist00/a"
CAR, BUS = (100, 100, 80, 60, 2), (100, 100, 80, 60, 4)
NOWHERE = (1000, 500, 3, 3, 4)


@pytest.fixture
def manifest(tmp_path):
    """Windows with boxes that stand twice or hold no event, of two classes."""
    labels = [boxes(CAR) for _ in range(10)]
    labels[3] = boxes(CAR, CAR, BUS, BUS, CAR)
    labels[8] = boxes(CAR, NOWHERE)
    write_shard(tmp_path / "r", A, 1, [window_events(10 + k) for k in range(10)], labels)
    return scan_release(tmp_path / "r")


def counts(**by_class):
    return {name: by_class.get(name, 0) for name in CLASS_NAMES}


def test_faulty_boxes_are_counted_by_class_and_the_windows_kept(manifest):
    (row,) = manifest.recordings
    assert row.defects == {Defect.DUPLICATE_BOX: 3, Defect.BOX_WITHOUT_EVENTS: 1}
    assert row.label_checks.faults == {
        Defect.DUPLICATE_BOX: counts(car=2, bus=1),
        Defect.BOX_WITHOUT_EVENTS: counts(bus=1),
    }
    assert row.label_checks.worst == (
        (1, 3, tuple((k, Defect.DUPLICATE_BOX) for k in (1, 3, 4))),
        (1, 8, ((1, Defect.BOX_WITHOUT_EVENTS),)),
    )


def test_no_more_than_a_few_windows_are_kept_the_earliest_of_equal_ones(tmp_path):
    write_recording(tmp_path, A, shards=1)
    labels = [boxes(CAR, CAR) for _ in range(10)]
    write_shard(tmp_path, A, 1, [window_events(10 + k) for k in range(10)], labels)
    (row,) = scan_release(tmp_path).recordings
    assert [window.member for window in row.label_checks.worst] == list(range(MOST_WORST))


def test_labels_alone_tell_of_duplicates_and_nothing_of_events(manifest):
    (row,) = scan_release(manifest.root, labels_only=True).recordings
    assert list(row.label_checks.faults) == [Defect.DUPLICATE_BOX]
    assert row.label_checks.offset is None
    facts = manifest_info(scan_release(manifest.root, labels_only=True))
    assert facts["not_checked"] == ["box-without-events", "label offsets"]
    assert "label_offsets" not in facts


def test_info_names_classes_and_what_is_not_told(manifest):
    facts = manifest_info(manifest)
    assert facts["box_faults"] == {
        "duplicate-box": {"car": 2, "bus": 1},
        "box-without-events": {"bus": 1},
    }
    assert (facts["label_offsets"], facts["label_offset_not_told"]) == ({}, 1)
    assert "  duplicate-box      2 car, 1 bus" in info_lines(facts)


def test_a_manifest_of_before_there_were_checks_is_the_same_and_has_its_digest(manifest, tmp_path):
    rows = tuple(replace(row, label_checks=None) for row in manifest.recordings)
    before = replace(manifest, recordings=rows)
    write_manifest(before, tmp_path / "m.json")
    content = json.loads((tmp_path / "m.json").read_text())
    assert "label_checks" not in content["recordings"][0]
    assert read_manifest(tmp_path / "m.json") == before
    assert read_manifest(tmp_path / "m.json").digest == before.digest != manifest.digest
    assert "box_faults" not in manifest_info(before)


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (lambda c: c["faults"]["duplicate-box"].update(car=1), "not the sum over the classes"),
        (lambda c: c["faults"]["duplicate-box"].pop("car"), "is not counted by"),
        (lambda c: c["faults"].update(unheard_of={}), "faults"),
        (lambda c: c.update(offset=[0, -6, 0, 100]), "offset"),
        (lambda c: c.update(offset=[0, 0, 0]), "offset"),
        (lambda c: c.update(colour="red"), "colour"),
        (lambda c: c.pop("worst"), "worst"),
        (lambda c: c.update(worst=[[1, 10, []]]), "worst"),
        (lambda c: c.update(worst=[[1, 1, [[-1, "box-jump"]]]]), "worst"),
    ],
)
def test_what_no_scan_writes_is_refused(manifest, tmp_path, change, saying):
    path = tmp_path / "m.json"
    write_manifest(manifest, path)
    content = json.loads(path.read_text())
    change(content["recordings"][0]["label_checks"])
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=saying):
        read_manifest(path)
