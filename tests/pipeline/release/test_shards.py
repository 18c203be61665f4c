"""The release on disk: pairing, field names, integer widths, byte layout."""

import numpy as np
import pytest

from pipeline.defects import Defect
from pipeline.errors import ShardError, UsageError
from pipeline.release.npz import NpzFile
from pipeline.release.shards import (
    EVENT_DTYPE,
    LABEL_DTYPE,
    as_events,
    as_labels,
    read_events,
    read_labels,
    shard_path,
    walk_release,
)
from tests.pipeline.releases import random_events, random_labels, write_recording

RECORDING = "train/trainfilelist00/rec_a"
RNG = np.random.default_rng(1)


def test_events_and_labels_pair_by_number_when_a_file_is_missing(tmp_path):
    write_recording(tmp_path, RECORDING, shards=(1, 2, 3))
    shard_path(tmp_path, RECORDING, 1, "events").unlink()
    shard_path(tmp_path, RECORDING, 2, "labels").unlink()
    (recording,) = walk_release(tmp_path)
    assert [(s.number, bool(s.events), bool(s.labels)) for s in recording.shards] == [
        (1, False, True),
        (2, True, False),
        (3, True, True),
    ]
    assert recording.id == RECORDING


def test_walk_orders_splits_and_ignores_strangers(tmp_path):
    for recording in ("test/testfilelist00/z", "train/trainfilelist01/b", "val/valfilelist00/a"):
        write_recording(tmp_path, recording, shards=(1,), events_per_window=5)
    (tmp_path / "train" / "readme.txt").write_text("hello")
    (tmp_path / "train/trainfilelist01/events/b/ev001.npz.part").write_text("half")
    assert [r.split for r in walk_release(tmp_path)] == ["train", "val", "test"]
    assert all(len(r.shards) == 1 for r in walk_release(tmp_path))


@pytest.mark.parametrize("make", [False, True])
def test_a_missing_or_empty_folder_is_a_usage_error(tmp_path, make):
    root = tmp_path / "release"
    if make:
        root.mkdir()
    with pytest.raises(UsageError, match=str(root)):
        walk_release(root)


def test_written_shards_read_back_in_the_release_layout(tmp_path):
    write_recording(tmp_path, RECORDING, shards=(7,))
    path = shard_path(tmp_path, RECORDING, 7, "events")
    assert path.name == "ev007.npz"
    with np.load(path) as plain:
        assert plain.files == [f"e{k}" for k in range(10)]
        assert plain["e3"].dtype == EVENT_DTYPE
        assert plain["e3"].dtype.itemsize == 9
        np.testing.assert_array_equal(read_events(NpzFile(path), 3), plain["e3"])
    labels = NpzFile(shard_path(tmp_path, RECORDING, 7, "labels"))
    assert read_labels(labels, 0).dtype.itemsize == 33


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
