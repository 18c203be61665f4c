"""Events and boxes of a member: field names, integer widths, and no value bent to fit."""

import numpy as np
import pytest

from pipeline.defects import Defect
from pipeline.errors import ShardError
from pipeline.release.members import MOST_BOXES, MOST_EVENTS, as_events, as_labels, read_labels
from pipeline.release.npz import LABEL_BOUNDS, NpzFile
from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE
from tests.pipeline.releases import random_events, random_labels

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("width", ["<i4", "<i8", "<u4", "<u8"])
def test_any_integer_width_and_plain_columns_give_the_same_events(width):
    events = random_events(RNG, 500_000, 50)
    wide = events.astype([(n, width) for n in ("p", "y", "x", "t")])
    reordered = np.zeros(50, wide.dtype)
    for name in "txyp":
        reordered[name] = events[name]
    columns = np.stack([events[n].astype(width) for n in "txyp"], axis=1)
    for array in (reordered, columns):
        np.testing.assert_array_equal(as_events(array, "here"), events)


@pytest.mark.parametrize("width", ["i1", "u1", "<i2", ">i8", "?"])
def test_a_polarity_may_be_of_any_integer_width(width):
    events = random_events(RNG, 500_000, 50)
    narrow = events.astype([(n, width if n == "p" else EVENT_DTYPE[n]) for n in "txyp"])
    np.testing.assert_array_equal(as_events(narrow, "here"), events)


@pytest.mark.parametrize(
    ("column", "value", "defect"),
    [
        (0, -1, Defect.WRONG_DTYPE),
        (0, 2**32, Defect.WRONG_DTYPE),
        (1, 70_000, Defect.WRONG_DTYPE),
        (3, 2, Defect.BAD_POLARITY),
        (3, -1, Defect.BAD_POLARITY),
        (3, 257, Defect.BAD_POLARITY),
    ],
)
def test_values_that_do_not_fit_are_refused_not_wrapped(column, value, defect):
    columns = np.zeros((3, 4), np.int64)
    columns[1, column] = value
    with pytest.raises(ShardError, match="here") as caught:
        as_events(columns, "here")
    assert caught.value.defect is defect


@pytest.mark.parametrize(
    "array", [np.zeros((3, 4)), np.zeros((3, 5), int), np.zeros(3, [("t", "<u4"), ("x", "<u2")])]
)
def test_other_shapes_and_dtypes_are_refused(array):
    with pytest.raises(ShardError) as caught:
        as_events(array, "here")
    assert caught.value.defect is Defect.WRONG_DTYPE


def test_labels_are_read_by_name_from_original_box_files():
    labels = random_labels(RNG, 500_000, 5)
    original = np.zeros(
        5,
        [(n, "<f4") for n in ("x", "y", "w", "h", "confidence")]
        + [("ts", "<u8"), ("class_id", "<u4"), ("track_id", "<u4")],
    )
    for ours, theirs in (("t", "ts"), ("class_confidence", "confidence")):
        original[theirs] = labels[ours]
    for name in ("x", "y", "w", "h", "class_id", "track_id"):
        original[name] = labels[name]
    np.testing.assert_array_equal(as_labels(original, "here"), labels)


def test_a_wide_class_number_does_not_wrap_into_a_valid_one():
    labels = np.zeros(2, [(n, "<f4") for n in "xywh"] + [("t", "<u8"), ("class_id", "<i4")])
    labels["class_id"] = [258, -1]
    assert as_labels(labels, "here")["class_id"].tolist() == [255, 255]


def test_no_labels_may_be_an_empty_plain_array():
    assert as_labels(np.empty(0), "here").dtype == LABEL_DTYPE
    with pytest.raises(ShardError, match="class_id"):
        as_labels(np.zeros(2, [("t", "<u8"), ("x", "<f4")]), "here")


WIDE = [(name, "<f8") for name in LABEL_DTYPE.names]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            (field, value)
            for field in ("t", "class_id", "track_id")
            for value in (np.nan, np.inf, 0.5)
        ],
        ("t", -1),
        ("t", 2.0**64),
        ("track_id", -1),
        ("track_id", 2.0**32),
    ],
)
def test_boxes_whose_numbers_are_not_whole_or_do_not_fit_cannot_be_used(field, value):
    labels = random_labels(RNG, 500_000, 3).astype(WIDE)
    labels[field][1] = value
    with pytest.raises(ShardError, match=f"here: label field '{field}'") as caught:
        as_labels(labels, "here")
    assert caught.value.defect is Defect.WRONG_DTYPE


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("width", ["<f2", "<f4", "?"])
def test_narrow_layouts_of_boxes_are_read_without_a_word(width):
    labels = np.ones(3, [(name, width) for name in LABEL_DTYPE.names])
    assert as_labels(labels, "here")["track_id"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("value", [-1, 256, 1e18, -1e300])
def test_a_class_that_is_whole_but_no_class_stays_none(value):
    labels = random_labels(RNG, 500_000, 3).astype(WIDE)
    labels["class_id"][1] = value
    assert as_labels(labels, "here")["class_id"][1] == 255


def test_whole_numbers_in_floats_are_the_same_boxes():
    labels = random_labels(RNG, 500_000, 5)
    np.testing.assert_array_equal(as_labels(labels.astype(WIDE), "here"), labels)


def test_a_negative_track_of_another_layout_does_not_wrap():
    labels = random_labels(RNG, 500_000, 3)
    signed = labels.astype([(n, "<i8" if n == "track_id" else "<f8") for n in LABEL_DTYPE.names])
    np.testing.assert_array_equal(as_labels(signed, "here"), labels)
    signed["track_id"][0] = -1
    with pytest.raises(ShardError, match="leaves the range"):
        as_labels(signed, "here")


def test_more_events_or_boxes_than_a_window_may_have_are_not_made(tmp_path):
    with pytest.raises(ShardError, match=f"may have {MOST_EVENTS}") as caught:
        as_events(np.broadcast_to(np.zeros(4, np.uint8), (MOST_EVENTS + 1, 4)), "here")
    assert caught.value.defect is Defect.TOO_LARGE
    path = tmp_path / "lb001.npz"
    np.savez_compressed(path, l0=np.zeros(MOST_BOXES, LABEL_DTYPE), l1=np.zeros(MOST_BOXES + 1))
    file = NpzFile(path, LABEL_BOUNDS)
    assert len(read_labels(file, 0)) == MOST_BOXES
    with pytest.raises(ShardError) as caught:
        read_labels(file, 1)
    assert caught.value.defect is Defect.TOO_LARGE
