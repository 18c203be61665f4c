"""Box files in Prophesee's format: names, units, order."""

import numpy as np
import pytest

from dmanet.detection.postprocessing import Detections
from dmanet.evaluation.prophesee import BOX_DTYPE, box_records, write_boxes

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
    assert [p.name for p in path.parent.iterdir()] == ["recording_bbox.npy"]


def test_no_windows_make_an_empty_file(tmp_path):
    write_boxes(tmp_path / "none.npy", [])
    assert np.load(tmp_path / "none.npy", allow_pickle=False).shape == (0,)


def test_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "boxes.npy"
    write_boxes(path, [box_records(FOUND, 1, (512, 512), SENSOR)])
    before = path.read_bytes()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_boxes(tmp_path / "folder", [box_records(FOUND, 2, (512, 512), SENSOR)])
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["boxes.npy", "folder"]
