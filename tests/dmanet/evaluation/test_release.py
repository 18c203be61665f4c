"""The `release` protocol: the reference arrays, hand-made windows, and what a result must say."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmanet.detection.found import Detections, Labels
from dmanet.evaluation.protocols import PROTOCOLS
from dmanet.evaluation.release import (
    IOU_THRESHOLDS,
    average_precision,
    match_window,
    release_result,
)
from pipeline.errors import DataError
from pipeline.release.labels import CLASS_NAMES

EMPTY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
NOTHING = Labels(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def detections(*rows):
    """Rows x1, y1, x2, y2, score, class."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def labels(*rows):
    """Rows x1, y1, x2, y2, class."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Labels(table[:, :4], table[:, 4].astype(np.int64))


@pytest.fixture(scope="module")
def reference(golden):
    with np.load(golden / "metrics.npz") as arrays:
        data = {name: arrays[name] for name in arrays.files}
    for name, build in (("detections", detections), ("labels", labels)):
        ends = data[f"{name}_offsets"]
        data[f"windows_{name}"] = [build(*data[name][a:b]) for a, b in pairwise(ends)]
    return data


def test_golden_matches_of_every_window(reference):
    windows = zip(reference["windows_detections"], reference["windows_labels"], strict=True)
    found = [match_window(*window) for window in windows]
    np.testing.assert_array_equal(np.concatenate(found), reference["stats_correct"])


def test_golden_precision_recall_and_ap(reference):
    """To 1e-9: the same float64 arithmetic."""
    found = average_precision(
        reference["stats_correct"],
        reference["stats_conf"],
        reference["stats_pred_cls"],
        reference["stats_target_cls"],
    )
    np.testing.assert_array_equal(found.classes, reference["ap_classes"])
    np.testing.assert_allclose(found.precision, reference["ap_precision"], atol=1e-9)
    np.testing.assert_allclose(found.recall, reference["ap_recall"], atol=1e-9)
    np.testing.assert_allclose(found.f1, reference["ap_f1"], atol=1e-9)
    np.testing.assert_allclose(found.ap, reference["ap"], atol=1e-9)


def test_golden_result_rows(reference):
    result = release_result(
        reference["windows_detections"],
        reference["windows_labels"],
        CLASS_NAMES,
        replace(PROTOCOLS["release"], score_threshold=0.0),  # score what the reference scores
    )
    every, *rows = result.rows
    np.testing.assert_allclose(
        [every.precision, every.recall, every.map50, every.map50_95], reference["mean"], atol=1e-9
    )
    assert every.labels == len(reference["labels"])
    assert every.windows == len(reference["labels_offsets"]) - 1
    for class_index, row in enumerate(rows):
        assert row.name == CLASS_NAMES[class_index]
        where = np.flatnonzero(reference["ap_classes"] == class_index)
        assert row.labels == np.count_nonzero(reference["labels"][:, 4] == class_index)
        if len(where):
            assert row.map50_95 == pytest.approx(reference["ap"][where[0]].mean())
        else:
            assert row.map50_95 is None


@pytest.mark.parametrize("count", [1, 2, 5])
def test_perfect_detections_score_one(count):
    truth = labels(*[(20 * k, 10, 20 * k + 15, 40, k % 2) for k in range(count)])
    found = Detections(truth.boxes, np.linspace(0.9, 0.95, count, dtype=np.float32), truth.classes)
    result = release_result([found], [truth], CLASS_NAMES[:2])
    for row in result.rows:
        if row.labels:
            assert row.precision == pytest.approx(1)
            assert row.recall == pytest.approx(1)
            assert row.map50_95 == pytest.approx(1, abs=0.006)  # the envelope falls within 0.01


def test_ap_of_a_hand_made_ranking():
    """Right, wrong, right of 4 labels: precision 1 until recall 1/4, then 2/3 until 1/2."""
    correct = np.array([[True] * 10, [False] * 10, [True] * 10])
    found = average_precision(
        correct, np.array([0.9, 0.8, 0.7]), np.zeros(3, int), np.zeros(4, int)
    )
    recalls = np.linspace(0, 1, 101)
    # Between recalls 1/4 and 1/2 the envelope falls linearly from 1 (the wrong one in between
    # adds a point at recall 1/4, precision 1/2, lifted to 2/3), then to 0 at 0.51.
    curve = np.interp(recalls, [0, 0.25, 0.25, 0.5, 0.51, 1], [1, 1, 2 / 3, 2 / 3, 0, 0])
    assert found.ap[0, 0] == pytest.approx(np.trapezoid(curve, recalls), abs=0.004)
    assert found.recall[0] == pytest.approx(0.5)
    assert found.precision[0] == pytest.approx(2 / 3)


def test_a_label_is_found_once_and_a_second_choice_is_not_taken():
    truth = labels((0, 0, 10, 10, 0), (0, 0, 10, 9, 0))
    found = detections((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 10, 0.8, 0))
    # Both overlap the first label most; the worse one could have had the second, and does not.
    assert match_window(found, truth)[:, 0].tolist() == [True, False]


def test_the_better_score_takes_the_label_whatever_the_order():
    truth = labels((0, 0, 10, 10, 0))
    found = detections((0, 0, 10, 8, 0.3, 0), (0, 0, 10, 9, 0.8, 0))
    assert match_window(found, truth)[:, 0].tolist() == [False, True]


def test_classes_do_not_match_each_other():
    found = detections((0, 0, 10, 10, 0.9, 1))
    assert not match_window(found, labels((0, 0, 10, 10, 0))).any()


def test_thresholds_passed_follow_the_overlap():
    truth = labels((0, 0, 10, 10, 0))
    for height in range(1, 11):
        passed = match_window(detections((0, 0, 10, height, 0.9, 0)), truth)[0]
        assert passed.tolist() == (np.float32(height / 10) > IOU_THRESHOLDS).tolist()


boxes_and_class = st.tuples(
    st.integers(0, 30), st.integers(0, 30), st.integers(4, 20), st.integers(4, 20),
    st.integers(0, 2),
)  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(boxes_and_class, max_size=5), st.lists(boxes_and_class, max_size=5)),
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
def test_result_stays_in_range_and_ignores_window_order(windows, random):
    def corners(rows):
        return [(x, y, x + w, y + h, c) for x, y, w, h, c in rows]

    truth = [labels(*corners(rows)) for _, rows in windows]
    scores = iter(random.sample(range(1001, 9999), 40))
    found = [
        detections(*[(*r[:4], next(scores) / 1e4, r[4]) for r in corners(rows)])
        for rows, _ in windows
    ]
    result = release_result(found, truth, CLASS_NAMES)
    for row in result.rows:
        numbers = [row.precision, row.recall, row.map50, row.map50_95]
        assert all(n is None for n in numbers) == (row.labels == 0)
        assert all(n is None or 0 <= n <= 1 for n in numbers)
    backwards = release_result(found[::-1], truth[::-1], CLASS_NAMES)
    assert result.to_json() == backwards.to_json()


def test_nothing_to_score_gives_rows_without_numbers():
    for found, truth in (([], []), ([EMPTY], [NOTHING]), ([detections((0, 0, 9, 9, 0.5, 2))],
                                                          [NOTHING])):  # fmt: skip
        result = release_result(found, truth, CLASS_NAMES)
        assert [row.map50 for row in result.rows] == [None] * 8
        assert "nan" not in result.as_table()
        json.loads(result.to_json())


def test_labels_without_detections_score_zero():
    result = release_result([EMPTY], [labels((0, 0, 9, 9, 2))], CLASS_NAMES)
    assert result.rows[0].map50 == 0
    assert result.rows[0].recall == 0
    assert result.rows[3].labels == 1


def test_detections_below_the_protocol_threshold_do_not_count():
    truth = labels((0, 0, 9, 9, 2))
    found = detections((0, 0, 9, 9, 0.09, 2))
    assert release_result([found], [truth], CLASS_NAMES).rows[0].map50 == 0


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(DataError, match="not a finite number"):
        release_result(
            [detections((0, 0, 9, 9, np.nan, 2))], [labels((0, 0, 9, 9, 2))], CLASS_NAMES
        )


def test_windows_must_pair():
    with pytest.raises(DataError, match="1 windows of detections for 0"):
        release_result([EMPTY], [], CLASS_NAMES)


def test_table_and_json_name_the_protocol_and_the_conditions():
    result = release_result([EMPTY], [labels((0, 0, 9, 9, 2))], CLASS_NAMES)
    result = result.with_conditions(sequence_length=10).with_conditions(state="carried")
    table = result.as_table()
    for text in ("protocol name release", "score_threshold 0.1", "nms_iou 0.5",
                 "sequence_length 10", "state carried", "mAP@0.5:0.95"):  # fmt: skip
        assert text in table
    assert len([line for line in table.splitlines() if line.startswith("car ")]) == 1
    data = json.loads(result.to_json())
    assert data["protocol"]["name"] == "release"
    assert data["conditions"] == {"sequence_length": 10, "state": "carried"}
    assert data["rows"][3] == {
        "name": "car", "windows": 1, "labels": 1,
        "precision": 0.0, "recall": 0.0, "map50": 0.0, "map50_95": 0.0,
    }  # fmt: skip
    assert data["rows"][1]["map50"] is None


def test_protocols_are_the_documented_ones():
    assert list(PROTOCOLS) == ["release", "prophesee", "rvt"]
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    assert PROTOCOLS["release"].boxes == "grid"
    rvt = PROTOCOLS["rvt"]
    assert rvt.classes == ("pedestrian", "two wheeler", "car")
    assert (rvt.min_diagonal, rvt.min_side, rvt.after_us) == (60, 20, 500_000)
    assert replace(rvt, name="prophesee", classes=None) == PROTOCOLS["prophesee"]
