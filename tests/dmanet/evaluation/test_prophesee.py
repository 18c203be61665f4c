"""Box files in Prophesee's format: names, units, and files that are not box files."""

import numpy as np
import pytest

from dmanet.detection.postprocessing import Detections
from dmanet.evaluation.prophesee import (
    BOX_DTYPE,
    as_box_records,
    box_records,
    read_boxes,
    write_boxes,
)
from pipeline.errors import DataError, PipelineError
from pipeline.release.shards import LABEL_DTYPE

SENSOR = (1280, 720)  # width, height
FOUND = Detections(
    np.array([[0, 0, 256, 256], [128, 64, 192, 512]], np.float32),
    np.array([0.9, 0.4], np.float32),
    np.array([2, 6]),
)
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def test_grid_boxes_become_sensor_pixels():
    records = box_records(FOUND, 1_250_000, (512, 512), SENSOR)
    assert records["t"].tolist() == [1_250_000] * 2
    assert records[["x", "y", "w", "h"]].tolist() == [(0, 0, 640, 360), (320, 90, 160, 630)]
    assert records["class_id"].tolist() == [2, 6]
    np.testing.assert_allclose(records["class_confidence"], [0.9, 0.4])


def test_grid_height_goes_with_sensor_height():
    records = box_records(FOUND, 0, (256, 1024), SENSOR)  # 256 rows, 1024 columns
    assert records[0][["x", "y", "w", "h"]].tolist() == (0, 0, 320, 720)


def test_file_holds_all_windows_in_time_order(tmp_path):
    path = tmp_path / "deep" / "recording_bbox.npy"
    late = box_records(FOUND, 900_000, (512, 512), SENSOR)
    early = box_records(FOUND, 550_000, (512, 512), SENSOR)
    write_boxes(path, [late, box_records(NOTHING, 600_000, (512, 512), SENSOR), early])
    stored = np.load(path, allow_pickle=False)
    assert stored.dtype == BOX_DTYPE
    np.testing.assert_array_equal(stored, np.concatenate([early, late]))
    np.testing.assert_array_equal(read_boxes(path), stored)
    assert [p.name for p in path.parent.iterdir()] == ["recording_bbox.npy"]


def test_no_windows_make_an_empty_file(tmp_path):
    write_boxes(tmp_path / "none.npy", [])
    assert read_boxes(tmp_path / "none.npy").shape == (0,)


def test_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "boxes.npy"
    write_boxes(path, [box_records(FOUND, 1, (512, 512), SENSOR)])
    before = path.read_bytes()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_boxes(tmp_path / "folder", [box_records(FOUND, 2, (512, 512), SENSOR)])
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["boxes.npy", "folder"]


def test_fields_are_read_by_name_with_their_older_names():
    dtype = [("confidence", "<f8"), ("track_id", "<i4"), ("class_id", "u1"), ("h", "<f8"),
             ("w", "<f8"), ("y", "<f8"), ("x", "<f8"), ("ts", "<u8")]  # fmt: skip
    old = np.array([(0.5, 7, 3, 40, 30, 20, 10, 123)], dtype)
    (record,) = as_box_records(old, "old boxes")
    assert record.tolist() == (123, 10, 20, 30, 40, 3, 7, 0.5)


def test_release_labels_are_boxes_too():
    labels = np.zeros(2, LABEL_DTYPE)
    labels["t"], labels["x"], labels["class_id"] = [5, 6], [1.5, 2.5], [1, 2]
    records = as_box_records(labels, "labels")
    assert records["x"].tolist() == [1.5, 2.5]
    assert records["class_id"].tolist() == [1, 2]


def test_missing_field_is_named():
    with pytest.raises(DataError, match=r"boxes\.npy.*missing: h"):
        as_box_records(np.zeros(1, [(n, "f4") for n in ("t", "x", "y", "w", "class_id")]),
                       "boxes.npy")  # fmt: skip


@pytest.mark.parametrize("content", ["missing", "text", "truncated", "pickled", "archive", "plain"])
def test_files_that_are_no_box_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "broken_bbox.npy"
    if content == "text":
        path.write_text("t,x,y\n1,2,3\n")
    elif content == "truncated":
        write_boxes(path, [box_records(FOUND, 1, (512, 512), SENSOR)])
        path.write_bytes(path.read_bytes()[:-5])
    elif content == "pickled":
        np.save(path, np.array([{"t": 1}], dtype=object), allow_pickle=True)
    elif content == "archive":
        with path.open("wb") as file:
            np.savez(file, boxes=np.zeros(1, BOX_DTYPE))
    elif content == "plain":
        np.save(path, np.zeros((3, 4)))
    with pytest.raises(PipelineError, match=r"broken_bbox\.npy") as error:
        read_boxes(path)
    assert "\n" not in str(error.value)
