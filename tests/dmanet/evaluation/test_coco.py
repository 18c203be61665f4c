"""COCO AP against the reference arrays and pycocotools, and the protocols' filters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dmanet.evaluation.coco import coco_average_precision, coco_result, pair_by_time
from dmanet.evaluation.prophesee import BOX_DTYPE
from dmanet.evaluation.protocols import PROTOCOLS
from pipeline.errors import DataError, UsageError
from pipeline.release.labels import CLASS_NAMES

NONE = np.empty(0, BOX_DTYPE)


def records(*rows):
    """Rows t, x, y, w, h, class, score."""
    found = np.zeros(len(rows), BOX_DTYPE)
    names = ("t", "x", "y", "w", "h", "class_id", "class_confidence")
    for record, row in zip(found, rows, strict=True):
        for name, value in zip(names, row, strict=True):
            record[name] = value
    return found


def coco_by_pycocotools(detections, labels, class_ids):
    def dataset(windows):
        annotations = []
        for image, boxes in enumerate(windows):
            for box in boxes[np.isin(boxes["class_id"], class_ids)]:
                x, y, w, h = (float(box[name]) for name in "xywh")
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": image, "bbox": [x, y, w, h],
                     "category_id": int(box["class_id"]), "area": w * h, "iscrowd": 0,
                     "score": float(box["class_confidence"])}
                )  # fmt: skip
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image} for image in range(len(windows))],
            "categories": [{"id": int(c)} for c in class_ids],
            "annotations": annotations,
        }
        coco.createIndex()
        return coco

    evaluation = COCOeval(dataset(labels), dataset(detections), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    return evaluation.stats, np.where(precision < 0, np.nan, precision).mean(axis=1).T


@pytest.fixture(scope="module")
def reference(golden):
    with np.load(golden / "metrics.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name.startswith("coco")}


def test_golden_coco_stats_and_ap_by_class(reference):
    """To 1e-9, pycocotools' own numbers."""
    detections, labels = pair_by_time(
        reference["coco_dt"], reference["coco_gt"], int(reference["coco_time_tol"])
    )
    expected = reference["coco_ap_class_by_iou"]
    found = coco_average_precision(detections, labels, range(len(expected)))
    np.testing.assert_allclose(found.stats, reference["coco_stats12"], atol=1e-9)
    np.testing.assert_allclose(found.ap, expected, atol=1e-9)  # nan where nan


box = st.tuples(
    st.just(0), st.integers(0, 60), st.integers(0, 60), st.integers(1, 120), st.integers(1, 120),
    st.sampled_from([1, 4, 5]), st.integers(1, 400).map(lambda k: k / 512),
)  # fmt: skip
window = st.lists(box, max_size=6).map(lambda rows: records(*rows))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(window, window.filter(len)), min_size=1, max_size=4))
def test_coco_agrees_with_pycocotools(windows):
    detections, labels = zip(*windows, strict=True)
    for class_ids in ([1, 4, 5], [1]):
        if not any(np.isin(boxes["class_id"], class_ids).any() for boxes in labels):
            continue
        found = coco_average_precision(detections, labels, class_ids)
        stats, ap = coco_by_pycocotools(detections, labels, class_ids)
        np.testing.assert_allclose(found.stats, stats, atol=1e-12)
        np.testing.assert_allclose(found.ap, ap, atol=1e-12)


def test_classes_keep_the_order_they_are_asked_for():
    labels = [records((0, 0, 0, 50, 50, 5, 1), (0, 0, 0, 50, 50, 1, 1))]
    found = [records((0, 0, 0, 50, 50, 5, 0.9))]
    np.testing.assert_allclose(
        coco_average_precision(found, labels, [5, 1]).ap[:, 0], [1, 0], atol=1e-9
    )


def pairs_by_search(detections, labels, tolerance):
    for time in sorted(set(labels["t"].tolist())):
        yield (
            sorted(d.tolist() for d in detections if abs(int(d["t"]) - time) <= tolerance),
            sorted(label.tolist() for label in labels if label["t"] == time),
        )


times = st.lists(st.integers(0, 30).map(lambda k: k * 10_000), max_size=12)


@given(times, times, st.sampled_from([0, 10_000, 25_000, 50_000]))
def test_pairing_by_time_agrees_with_a_search(found_at, labelled_at, tolerance):
    detections = records(*[(t, k, 0, 1, 1, 0, 0.5) for k, t in enumerate(found_at)])
    labels = records(*[(t, k, 0, 1, 1, 0, 1) for k, t in enumerate(labelled_at)])
    paired = zip(*pair_by_time(detections, labels, tolerance), strict=True)
    found = [(sorted(d.tolist()), sorted(label.tolist())) for d, label in paired]
    assert found == list(pairs_by_search(detections, labels, tolerance))


def test_pairing_by_time_of_unsigned_times_near_zero():
    early = records((0, 0, 0, 9, 9, 0, 0.5))
    unsigned = early.astype([*BOX_DTYPE.descr[1:], ("t", "<u8")])
    detections, labels = pair_by_time(unsigned, unsigned, 50_000)
    assert [len(w) for w in detections] == [len(w) for w in labels] == [1]


LATE = 600_000  # µs, past the half second that is not scored


def test_windows_without_labels_are_not_scored():
    found = records((LATE, 0, 0, 80, 80, 2, 0.9))
    result = coco_result([found, found], [found, NONE], CLASS_NAMES, PROTOCOLS["prophesee"])
    assert result.rows[0].windows == 1
    assert result.rows[0].map50 == pytest.approx(1)  # the second window would be a false one


@pytest.mark.parametrize(
    ("box", "counts"),
    [
        ((LATE, 0, 0, 60, 20, 2, 0.8), True),
        ((LATE, 0, 0, 60, 19.9, 2, 0.8), False),  # a side under 20
        ((LATE, 0, 0, 42, 42, 2, 0.8), False),  # a diagonal under 60
        ((LATE, 0, 0, 36, 48, 2, 0.8), True),  # of exactly 60
        ((500_000, 0, 0, 90, 90, 2, 0.8), False),  # not after half a second
        ((500_001, 0, 0, 90, 90, 2, 0.8), True),
    ],
)
def test_filters_of_labels_and_detections(box, counts):
    protocol = PROTOCOLS["prophesee"]
    as_label = coco_result([NONE], [records(box)], CLASS_NAMES, protocol)
    assert as_label.rows[0].labels == counts

    truth = records((LATE, 300, 300, 90, 90, 2, 1))
    right = (LATE, 300, 300, 90, 90, 2, 0.5)
    as_detection = coco_result([records(box, right)], [truth], CLASS_NAMES, protocol)
    # A counted false detection above the right one halves the precision.
    assert as_detection.rows[3].map50 == pytest.approx(0.5 if counts else 1)


def test_score_threshold_of_the_protocol_applies():
    truth = records((LATE, 0, 0, 90, 90, 2, 1))
    found = records((LATE, 0, 0, 90, 90, 2, 0.001))
    result = coco_result([found], [truth], CLASS_NAMES, PROTOCOLS["prophesee"])
    assert result.rows[0].map50 == 0


def test_rvt_scores_three_classes_only():
    truth = records((LATE, 0, 0, 90, 90, 2, 1), (LATE, 200, 0, 90, 90, 3, 1))
    result = coco_result([truth], [truth], CLASS_NAMES, PROTOCOLS["rvt"])
    assert [row.name for row in result.rows] == ["all", "pedestrian", "two wheeler", "car"]
    assert [row.labels for row in result.rows] == [1, 0, 0, 1]
    assert [row.map50 for row in result.rows[1:3]] == [None, None]
    assert result.rows[0].map50 == pytest.approx(1)
    assert result.summary["AP"] == pytest.approx(1)


def test_protocol_classes_the_data_lacks_are_refused():
    with pytest.raises(UsageError, match="scores pedestrian, two wheeler, which"):
        coco_result([NONE], [NONE], ["car"], PROTOCOLS["rvt"])


@pytest.mark.parametrize("windows", [0, 1])
def test_nothing_to_score_gives_rows_without_numbers(windows):
    result = coco_result([NONE] * windows, [NONE] * windows, CLASS_NAMES, PROTOCOLS["prophesee"])
    assert {row.map50 for row in result.rows} == {None}
    assert set(result.summary.values()) == {None}
    assert "protocol name prophesee" in result.as_table()


def test_labels_without_detections_score_zero():
    truth = records((LATE, 0, 0, 90, 90, 2, 1))
    result = coco_result([NONE], [truth], CLASS_NAMES, PROTOCOLS["prophesee"])
    assert result.rows[0].map50 == 0


@pytest.mark.parametrize("field", ["class_confidence", "x", "h"])
def test_detected_values_that_are_not_numbers_are_refused(field):
    truth = records((LATE, 0, 0, 90, 90, 2, 1))
    found = truth.copy()
    found[field] = np.nan
    with pytest.raises(DataError, match="not a finite number"):
        coco_result([found], [truth], CLASS_NAMES, PROTOCOLS["prophesee"])


def test_labels_that_are_not_numbers_are_left_out():
    good = (LATE, 0, 0, 90, 90, 2, 1)
    truth = records(good, (LATE, np.nan, 0, 90, 90, 2, 1), (LATE, 0, 0, np.nan, 90, 2, 1))
    result = coco_result([records(good)], [truth], CLASS_NAMES, PROTOCOLS["prophesee"])
    assert (result.rows[0].labels, result.rows[0].map50) == (1, pytest.approx(1))
