"""Label rules against the reference arrays and the documented examples."""

import numpy as np
import pytest

from pipeline.defects import Defect
from pipeline.release.labels import LabelRules, apply_label_rules, label_defects
from pipeline.release.shards import LABEL_DTYPE


def boxes(*rows: tuple[float, ...], class_id: int = 2) -> np.ndarray:
    labels = np.zeros(len(rows), LABEL_DTYPE)
    for label, (x, y, w, h) in zip(labels, rows, strict=True):
        label["x"], label["y"], label["w"], label["h"] = x, y, w, h
    labels["class_id"] = class_id
    return labels


def test_golden_labels_are_reproduced(golden):
    with np.load(golden / "labels.npz") as arrays:
        groups = {name.split("/")[0] for name in arrays.files}
        assert groups
        for group in groups:
            kept = apply_label_rules(arrays[f"{group}/labels"], LabelRules())
            expected = arrays[f"{group}/boxes"]
            expected = expected[expected[:, 4] >= 0]  # rows of -1 are padding
            np.testing.assert_array_equal(kept.classes, expected[:, 4], err_msg=group)
            np.testing.assert_allclose(kept.boxes, expected[:, :4], atol=1e-4, err_msg=group)


@pytest.mark.parametrize(
    ("box", "corners"),
    [
        ((-30.5, 100, 90, 80), (0, 71.1111, 23.8, 128)),
        ((1230, 300, 120, 90), (492, 213.3333, 512, 277.3333)),
        ((400, -20, 100, 70), (160, 0, 200, 35.5556)),
        ((-40, 50, 1300, 300), None),  # wider than the sensor
        ((-40, 50, 1280, 300), (0, 35.5556, 496, 248.8889)),
        ((300, 300, 20, 57), (120, 213.3333, 128, 253.8667)),
        ((300, 300, 20, 56), None),  # diagonal below 60
        ((100, 100, 50, 900), (40, 71.1111, 60, 512)),
        ((np.nan, 100, 50, 90), None),
        ((1e30, 100, 1000, 90), None),
        ((-np.inf, 100, 1000, 90), None),
    ],
)
def test_documented_examples_of_the_rules(box, corners):
    kept = apply_label_rules(boxes(box), LabelRules()).boxes
    expected = np.zeros((0, 4)) if corners is None else np.array([corners])
    np.testing.assert_allclose(kept, expected, atol=1e-3)


def test_class_choice_drops_and_renumbers():
    labels = boxes(*[(100, 100, 100, 100)] * 4)
    labels["class_id"] = [0, 2, 9, 5]
    kept = apply_label_rules(labels, LabelRules(classes=(5, 2)))
    np.testing.assert_array_equal(kept.rows, [1, 3])
    np.testing.assert_array_equal(kept.classes, [1, 0])


def test_more_than_sixty_boxes_are_all_kept_and_counted():
    labels = boxes(*[(10 * k, 100, 100, 100) for k in range(75)])
    kept = apply_label_rules(labels, LabelRules()).boxes
    assert len(kept) == 75
    padded = np.full((60, 5), -1.0)  # what the release copies a window's boxes into
    with pytest.raises(ValueError, match="broadcast"):
        padded[: len(kept), :4] = kept
    assert label_defects(labels, (1280, 720)) == {Defect.OVER_60_BOXES: 15}


def test_faults_of_boxes_are_counted_by_name():
    labels = boxes((-5, 0, 50, 50), (0, 0, 1300, 50), (np.nan, 0, 50, 50), (1, 1, 50, 50))
    labels["class_id"][3] = 7
    assert label_defects(labels, (1280, 720)) == {
        Defect.BOX_OUT_OF_FRAME: 1,
        Defect.BOX_TOO_WIDE: 1,
        Defect.BOX_NOT_FINITE: 1,
        Defect.WRONG_CLASS: 1,
    }


@pytest.mark.parametrize("confidence", [np.nan, np.inf, -0.1, 1.1])
def test_a_bad_confidence_is_counted_and_the_box_stays(confidence):
    labels = boxes((100, 100, 100, 100), (100, 100, 100, 100))
    labels["class_confidence"] = 1, confidence
    assert label_defects(labels, (1280, 720)) == {Defect.BAD_CONFIDENCE: 1}
    assert len(apply_label_rules(labels, LabelRules()).rows) == 2


def test_boxes_of_another_time_are_dropped_where_the_time_is_known():
    labels = boxes(*[(100, 100, 100, 100)] * 4)
    labels["t"] = 99_999, 100_000, 2**64 - 1, 0
    assert label_defects(labels, (1280, 720)) == {}
    assert label_defects(labels, (1280, 720), 100_000) == {Defect.BOX_OUT_OF_TIME: 2}
    for begins, rows in (
        (100_000, [1, 3]),
        (np.array([50_000, 50_000, -1, 50_000]), [0, 1, 2, 3]),
        (None, [0, 1, 2, 3]),
    ):
        assert apply_label_rules(labels, LabelRules(), begins).rows.tolist() == rows


def test_no_labels_give_no_boxes():
    kept = apply_label_rules(np.empty(0, LABEL_DTYPE), LabelRules())
    assert kept.boxes.shape == (0, 4)
    assert label_defects(np.empty(0, LABEL_DTYPE), (1280, 720)) == {}
