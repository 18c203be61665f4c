"""Folders of boxes are scored as windows are, and refused in one sentence where they cannot be."""

import os
from pathlib import Path

import numpy as np
import pytest

from dmanet.evaluation.box_folders import evaluate_folders
from dmanet.evaluation.details import Resampling
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.prophesee import BOX_DTYPE, write_boxes
from dmanet.evaluation.protocols import PROTOCOLS
from dmanet.evaluation.scoring import GridWindows, SensorWindows, score_grid, score_sensor
from pipeline.errors import DataError, UsageError
from pipeline.release.classes import CLASS_MAPS, ClassMap
from pipeline.release.labels import CLASS_NAMES
from tests.dmanet.evaluation.box_scenes import FIRST_US, grid, scenes

TIMES = FIRST_US + 50_000 * np.arange(4)


@pytest.fixture
def recordings():
    """No label time is within 50 ms of another window's detections."""
    found = scenes(4, recordings=3)
    for scene in found:
        for k, window in enumerate((*scene.found, *scene.true)):
            window["t"] += 100_000 * (k % 4)
            window["track_id"] = np.arange(len(window))
    return found


@pytest.fixture
def folders(recordings, tmp_path: Path) -> tuple[Path, Path]:
    for scene in recordings:
        write_boxes(tmp_path / "gt" / "deep" / f"{scene.name}_bbox.npy", scene.true)
        write_boxes(tmp_path / "dt" / "deep" / f"{scene.name}_bbox.npy", scene.found)
    return tmp_path / "gt", tmp_path / "dt"


def test_coco_protocols_score_files_as_windows(recordings, folders):
    protocol = PROTOCOLS["prophesee"]
    examination = Examination(Resampling(20))
    expected = score_sensor(
        [SensorWindows(f"deep/{s.name}", TIMES, s.found, s.true) for s in recordings],
        CLASS_NAMES,
        protocol,
        examination,
    )
    result = evaluate_folders(*folders, "prophesee", examination)
    assert (result.rows, result.summary) == (expected.rows, expected.summary)
    assert result.rows[0].labels > 5
    drawn, others = result.details.intervals.draws, expected.details.intervals.draws
    assert {key: drawn[key] for key in others} == others
    assert all(key.startswith("motion.") for key in drawn.keys() - others.keys())
    assert result.conditions["boxes"] == "files"


def test_the_release_scores_files_by_the_clock(recordings, folders):
    expected = score_grid(
        [GridWindows(s.name, TIMES, (1.0, 1.0), *grid(s)) for s in recordings],
        CLASS_NAMES,
        PROTOCOLS["release"],
    )
    result = evaluate_folders(*folders, "release")
    for row, other in zip(result.rows, expected.rows, strict=True):
        assert (row.labels, row.precision, row.recall) == (
            other.labels,
            other.precision,
            other.recall,
        )
        assert (row.map50, row.map50_95) == (other.map50, other.map50_95)


def test_of_a_track_the_first_time_in_a_window_counts_under_the_release(recordings, folders):
    before = evaluate_folders(*folders, "release")
    for scene in recordings:
        later = []
        for window in scene.true:
            again = window.copy()
            again["t"] += 20_000
            again["x"] += 40
            later.append(np.concatenate([window, again]))
        write_boxes(folders[0] / "deep" / f"{scene.name}_bbox.npy", later)
    assert evaluate_folders(*folders, "release").rows == before.rows


def test_files_without_boxes_are_recordings_without_boxes(tmp_path):
    write_boxes(tmp_path / "gt" / "a_bbox.npy", [])
    write_boxes(tmp_path / "dt" / "a_bbox.npy", [])
    for protocol in PROTOCOLS:
        result = evaluate_folders(tmp_path / "gt", tmp_path / "dt", protocol, Examination())
        assert (result.rows[0].labels, result.rows[0].map50) == (0, None)


def boxes_of(*sides: tuple[float, float], t: int = 600_000, class_id: int = 1) -> np.ndarray:
    """A box of each width and height, side by side."""
    boxes = np.zeros(len(sides), BOX_DTYPE)
    boxes["t"], boxes["class_id"], boxes["class_confidence"] = t, class_id, 0.9
    boxes["x"] = 60 * np.arange(len(sides))
    boxes["w"], boxes["h"] = np.transpose(sides)
    boxes["track_id"] = np.arange(len(sides))
    return boxes


def labels_scored(tmp_path: Path, boxes: list[np.ndarray], protocol: str, class_map: ClassMap):
    for folder in ("gt", "dt"):
        write_boxes(tmp_path / folder / "a_bbox.npy", boxes)
    return evaluate_folders(tmp_path / "gt", tmp_path / "dt", protocol, class_map=class_map)


@pytest.mark.parametrize("protocol", ["prophesee", "rvt"])
def test_boxes_are_left_out_by_the_rules_of_their_data_set(tmp_path, protocol):
    # Diagonals 30.0, 29.7, 60.0 and 59.4; then one with a side of 9, and one with a side of 19.
    sides = (24, 18), (21, 21), (48, 36), (42, 42), (9, 80), (19, 80)
    early = boxes_of((48, 36), t=500_000)
    counts = {
        name: labels_scored(tmp_path, [early, boxes_of(*sides)], protocol, CLASS_MAPS[name])
        for name in ("gen1", "1mpx", "dlut")
    }
    assert {name: result.rows[0].labels for name, result in counts.items()} == {
        "gen1": 4,
        "1mpx": 1,
        "dlut": 1,
    }
    gen1 = counts["gen1"]
    assert (gen1.protocol.min_diagonal, gen1.protocol.min_side) == (30, 10)
    assert [row.name for row in gen1.rows] == ["all", "car", "pedestrian"]
    assert "min_diagonal 30.0, min_side 10.0" in str(gen1)
    assert "data_set gen1" in str(gen1)
    assert counts["dlut"].protocol == PROTOCOLS[protocol]


def test_a_file_of_classes_brings_its_own_rules(tmp_path):
    mine = ClassMap(name="mine", classes=("dog", "cat"), min_side=5, skip=0.25)
    boxes = [boxes_of((9, 9), t=250_000), boxes_of((5, 9), (4, 9), t=250_001)]
    result = labels_scored(tmp_path, boxes, "prophesee", mine)
    assert [(row.name, row.labels) for row in result.rows] == [("all", 1), ("dog", 0), ("cat", 1)]
    assert result.conditions["labels"] == "mine"
    with pytest.raises(UsageError, match="scores pedestrian, two wheeler, car, which"):
        labels_scored(tmp_path, boxes, "rvt", mine)


def test_the_release_scores_boxes_of_any_size_of_any_data_set(tmp_path):
    result = labels_scored(tmp_path, [boxes_of((3, 3))], "release", CLASS_MAPS["gen1"])
    assert [(row.name, row.labels) for row in result.rows[1:]] == [("car", 0), ("pedestrian", 1)]
    assert result.protocol == PROTOCOLS["release"]


def test_a_class_that_the_data_set_lacks_names_the_option(tmp_path):
    with pytest.raises(DataError, match=r"classes of gen1 are numbered 0 to 1.*--labels"):
        labels_scored(tmp_path, [boxes_of((9, 9), class_id=2)], "release", CLASS_MAPS["gen1"])


def spoil(path: Path, **values) -> None:
    boxes = np.load(path)
    for name, value in values.items():
        boxes[name][0] = value
    np.save(path, boxes)


@pytest.mark.parametrize(
    ("where", "values", "saying"),
    [
        ("gt", {"class_id": 9}, "has the class 9, and classes of dlut are numbered 0 to 6"),
        ("dt", {"class_id": 4_000_000_000}, "has the class 255"),
        ("dt", {"class_confidence": 1.5}, "scores are 0 to 1"),
        ("dt", {"class_confidence": np.nan}, "scores are 0 to 1"),
        ("dt", {"x": np.inf}, "not a finite number"),
        ("gt", {"t": 2**60}, "no recording is so long"),
    ],
)
def test_values_that_cannot_be_scored_are_refused(folders, where, values, saying):
    path = (folders[0] if where == "gt" else folders[1]) / "deep" / "r1_bbox.npy"
    spoil(path, **values)
    with pytest.raises(DataError, match=saying) as error:
        evaluate_folders(*folders, "prophesee")
    assert str(path) in str(error.value)


def test_labels_that_are_not_numbers_are_left_out(folders):
    for protocol in ("release", "prophesee"):
        whole = evaluate_folders(*folders, protocol).rows[0].labels
        path = folders[0] / "deep" / "r1_bbox.npy"
        kept = path.read_bytes()
        boxes = np.load(path)
        large = int(np.argmax(boxes["w"] * boxes["h"]))
        boxes["x"][large] = np.nan
        np.save(path, boxes)
        assert evaluate_folders(*folders, protocol).rows[0].labels == whole - 1
        path.write_bytes(kept)


def test_files_that_do_not_pair_are_named(folders, tmp_path):
    truth, found = folders
    os.remove(found / "deep" / "r1_bbox.npy")
    with pytest.raises(UsageError, match=r"dt: lacks deep/r1_bbox\.npy, which .*gt has"):
        evaluate_folders(truth, found, "release")
    with pytest.raises(UsageError, match=r"nothing: has no file NAME_bbox\.npy"):
        evaluate_folders(tmp_path / "nothing", found, "release")
    with pytest.raises(UsageError, match=r"dt: lacks deep/r1_bbox\.npy"):
        evaluate_folders(found, truth, "release")
    (truth / "deep" / "r0_bbox.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"r0_bbox\.npy"):
        evaluate_folders(truth, truth, "release")


@pytest.mark.parametrize("protocol", ["prophesee", "release"])
def test_the_motion_of_labels_comes_from_their_tracks(tmp_path, protocol):
    """One box stands, one moves by 20 pixels a window, one is alone on its track."""
    windows = []
    for k in range(6):
        boxes = np.zeros(2 if k else 3, BOX_DTYPE)
        boxes["t"], boxes["class_confidence"] = FIRST_US + 100_000 * k, 1
        boxes["x"], boxes["y"], boxes["w"], boxes["h"] = (
            (50, 300 + 20 * k, 200)[: len(boxes)],
            60,
            80,
            90,
        )
        boxes["track_id"], boxes["class_id"] = (1, 2, 3)[: len(boxes)], 2
        windows.append(boxes)
    for folder in ("gt", "dt"):
        write_boxes(tmp_path / folder / "a_bbox.npy", windows)
    result = evaluate_folders(
        tmp_path / "gt", tmp_path / "dt", protocol, Examination(Resampling(0))
    )
    rows = {row.name: (row.windows, row.labels) for row in result.details.motion}
    assert rows["resting"] == rows["never moved"] == (6, 6)
    assert rows["moving"] == (6, 6)
    assert rows["slow"] == rows["rest 1-2"] == (0, 0)
    assert all(row.map50 in (None, pytest.approx(1.0, abs=0.01)) for row in result.details.motion)
