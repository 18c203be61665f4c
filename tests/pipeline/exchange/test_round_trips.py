"""What is written in a format is read back: to the bit, or as near as the format allows."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, UsageError
from pipeline.exchange.box_files import ENDING
from pipeline.exchange.formats import FORMATS, fill_folder, load_boxes, save_boxes
from pipeline.exchange.records import BOX_DTYPE, BoxSet, RecordingBoxes
from pipeline.ingest.boxes import read_boxes
from tests.pipeline.exchange.box_sets import SENSOR, assert_same, box_sets

QUICK = settings(max_examples=40)


def with_windows(found: BoxSet) -> BoxSet:
    """Without recordings that have no windows, which COCO has no place for."""
    return replace(found, recordings=tuple(r for r in found.recordings if len(r)))


@QUICK
@given(box_sets())
def test_coco_gives_back_every_bit(found):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "boxes.json"
        save_boxes(path, found)
        assert_same(load_boxes(path), with_windows(found))


@QUICK
@given(box_sets())
def test_hdf5_gives_back_every_bit(found):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "boxes.h5"
        save_boxes(path, found)
        assert_same(load_boxes(path), found)


@QUICK
@given(box_sets())
def test_prophesee_files_hold_every_bit_in_the_order_of_time(found):
    with tempfile.TemporaryDirectory() as folder:
        fill_folder(Path(folder), "npy", found)
        for recording in found.recordings:
            boxes = np.load(Path(folder) / f"{recording.name}{ENDING}")
            assert boxes.dtype == BOX_DTYPE
            order = sorted(range(len(boxes)), key=lambda row, own=recording: own.boxes["t"][row])
            assert [row.tobytes() for row in boxes] == [recording.boxes[k].tobytes() for k in order]


@QUICK
@given(box_sets(inside=True))
def test_yolo_gives_back_what_it_has_a_place_for_to_a_thousandth_of_a_pixel(found):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "yolo"
        save_boxes(path, found)
        back = load_boxes(path)
    assert (back.class_names, back.scored) == (found.class_names, found.scored)
    for one, other in zip(back.recordings, found.recordings, strict=True):
        assert (one.name, one.sensor) == (other.name, other.sensor)
        for name in ("numbers", "times", "window"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
        for name in "xywh":
            assert np.abs(one.boxes[name].astype(float) - other.boxes[name]).max(initial=0) <= 1e-3
        for name in ("t", "class_id", "track_id"):
            assert np.array_equal(one.boxes[name], other.boxes[name])
        scores = other.boxes["class_confidence"] if found.scored else np.ones(len(other.boxes))
        assert np.abs(one.boxes["class_confidence"] - scores).max(initial=0) <= 1e-7


@pytest.fixture
def two() -> BoxSet:
    """Two recordings, three boxes."""
    boxes = np.zeros(3, BOX_DTYPE)
    for k, row in enumerate([(100, 10, 20, 30, 40, 1, 7, 0.5), (150_000, 0, 0, 8, 9, 0, 8, 0.1)]):
        boxes[k] = row
    boxes[2] = (150_001, 1.5, 2.5, 64, 36, 1, 7, 1)
    first = RecordingBoxes(
        "test/testfilelist00/a",
        SENSOR,
        np.array([0, 3]),
        np.array([0, 150_000]),
        np.array([0, 1, 1]),
        boxes,
    )
    second = replace(
        first, name="test/testfilelist00/b", window=first.window[:0], boxes=first.boxes[:0]
    )
    return BoxSet((first, second), ("car", "pedestrian"), scored=True)


def test_prophesee_files_are_those_that_ingest_and_evaluate_read(two, tmp_path: Path):
    fill_folder(tmp_path, "npy", two)
    read = read_boxes(tmp_path / "test/testfilelist00/a_bbox.npy")
    for name in BOX_DTYPE.names:
        assert np.array_equal(read[name], two.recordings[0].boxes[name])
    assert len(read_boxes(tmp_path / "test/testfilelist00/b_bbox.npy")) == 0


def test_pycocotools_reads_the_coco_file(two, tmp_path: Path):
    coco = pytest.importorskip("pycocotools.coco")
    save_boxes(tmp_path / "boxes.json", two)
    read = coco.COCO(str(tmp_path / "boxes.json"))
    (image,) = (i for i in read.loadImgs(read.getImgIds()) if i["t_us"] == 150_000 and i["id"] < 3)
    assert image["file_name"] == "test/testfilelist00/a/window_00003.png"
    own = read.loadAnns(read.getAnnIds(imgIds=[image["id"]], catIds=read.getCatIds(["pedestrian"])))
    assert [box["bbox"] for box in own] == [[1.5, 2.5, 64.0, 36.0]]


def test_a_yolo_folder_has_the_files_that_its_readers_look_for(two, tmp_path: Path):
    save_boxes(tmp_path / "yolo", two)
    document = yaml.safe_load((tmp_path / "yolo/dataset.yaml").read_text())
    assert document == {"test": "images/test", "names": ["car", "pedestrian"]}
    label = tmp_path / "yolo/labels/test/testfilelist00/a/window_00000.txt"
    assert label.read_text() == "1 0.019531250 0.055555556 0.023437500 0.055555556 0.500000000\n"
    assert (tmp_path / "yolo/labels/test/testfilelist00/b/window_00003.txt").read_text() == ""
    save_boxes(tmp_path / "labels", replace(two, scored=False))
    label = tmp_path / "labels/labels/test/testfilelist00/a/window_00000.txt"
    assert len(label.read_text().split()) == 5  # trainers refuse a sixth column


def test_a_file_of_one_recording_takes_no_two(two, tmp_path: Path):
    with pytest.raises(UsageError, match="holds the boxes of one recording, and there are 2"):
        save_boxes(tmp_path / "boxes.npy", two)
    with pytest.raises(UsageError, match=r"no format \.txt; give NAME\.npy"):
        save_boxes(tmp_path / "boxes.txt", two)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMATS)
def test_every_folder_format_but_prophesees_is_recognised(two, tmp_path: Path, form):
    fill_folder(tmp_path, form, two)
    if form == "npy":
        with pytest.raises(UsageError, match="say neither sensor nor classes"):
            load_boxes(tmp_path)
        return
    back = load_boxes(tmp_path)
    assert [len(r.boxes) for r in back.recordings] == [3, 0]


def edited(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text())
    for place, value in changes.items():
        *keys, last = place.split("__")
        target = content
        for key in keys:
            target = target[int(key) if key.isdigit() else key]
        target[last] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "saying"),
    [
        ({"images__0__recording": "../../etc"}, "no name of a recording"),
        ({"images__0__recording": "/etc/a"}, "no name of a recording"),
        ({"images__0__recording": "a/.hidden"}, "no name of a recording"),
        ({"images__0__width": 0}, "images.0.width"),
        ({"images__0__window": 3}, "windows of test/testfilelist00/a are not in order"),
        ({"images__1__width": 640}, "differ in size"),
        ({"images__1__id": 1}, "two images have one id"),
        ({"annotations__0__image_id": 99}, "one of them is not there"),
        ({"annotations__0__category_id": 0}, "one of them is not there"),
        ({"annotations__0__bbox": [1, 2, 3]}, "annotations.0.bbox"),
        ({"annotations__0__bbox": [1, 2, 3, 1e39]}, "annotations.0.bbox.3"),
        ({"annotations__0__track_id": -1}, "annotations.0.track_id"),
        ({"categories": []}, "names"),
        ({"images": [{"id": 1, "width": 5, "height": 5, "file_name": "a.png"}]}, "need recording"),
    ],
)
def test_a_coco_file_that_is_wrong_is_refused_in_one_sentence(two, tmp_path: Path, changes, saying):
    path = tmp_path / "boxes.json"
    save_boxes(path, two)
    edited(path, **changes)
    with pytest.raises(DataError, match=r"boxes\.json") as error:
        load_boxes(path)
    assert saying in str(error.value)
    assert len(str(error.value)) < 400


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_garbage_is_refused_in_one_sentence(garbage):
    with tempfile.TemporaryDirectory() as folder:
        for name in ("boxes.json", "boxes.h5"):
            path = Path(folder) / name
            path.write_bytes(garbage)
            with pytest.raises(DataError, match=name):
                load_boxes(path)


@pytest.mark.parametrize(
    ("file", "content", "saying"),
    [
        ("labels/test/testfilelist00/a/window_00000.txt", "1 2 3\n", "line 1 is not class"),
        ("labels/test/testfilelist00/a/window_00000.txt", "9 0 0 0 0 0\n", "the class 9 of 2"),
        ("labels/test/testfilelist00/a/window_00000.txt", "1 0 0 nan 0 0\n", "line 1 is not"),
        ("labels/test/testfilelist00/a/window_00000.txt", "ä", "no text of numbers"),
        ("dataset.yaml", "names: 3", "cannot be read as a YOLO dataset"),
        ("dataset.yaml", "names: [a, a]", "cannot be read as a YOLO dataset"),
        ("windows.json", "[]", "it is no object"),
        ("windows.json", '{"scored": true}', "'recordings' is missing"),
    ],
)
def test_a_yolo_folder_that_is_wrong_is_refused_in_one_sentence(
    two, tmp_path: Path, file, content, saying
):
    save_boxes(tmp_path / "yolo", two)
    (tmp_path / "yolo" / file).write_text(content)
    with pytest.raises(DataError, match="yolo") as error:
        load_boxes(tmp_path / "yolo")
    assert saying in str(error.value)


def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_read_there(two, tmp_path: Path):
    save_boxes(tmp_path / "yolo", two)
    edited(tmp_path / "yolo/windows.json", recordings__0__name="../../secret")
    with pytest.raises(DataError, match="no name of a recording"):
        load_boxes(tmp_path / "yolo")


def test_hdf5_that_claims_or_links_what_it_does_not_hold_is_refused(two, tmp_path: Path):
    for change, saying in (
        (lambda f: f.attrs.__delitem__("format"), "holds no boxes"),
        (lambda f: f.__delitem__("recordings/0/boxes"), "is missing or of another type"),
        (lambda f: f.__delitem__("recordings/1"), None),
        (lambda f: f["recordings/0"].attrs.__setitem__("name", "../a"), "no name of a recording"),
        (lambda f: f["recordings/0"].attrs.__setitem__("sensor", (0, 5)), "sensor of 0x5"),
    ):
        path = tmp_path / "boxes.h5"
        save_boxes(path, two)
        with h5py.File(path, "r+") as file:
            change(file)
        if saying is None:
            assert len(load_boxes(path).recordings) == 1
            continue
        with pytest.raises(DataError, match=saying):
            load_boxes(path)
    save_boxes(path, two)
    with h5py.File(path, "r+") as file:
        del file["recordings/0/window"]
        file["recordings/0/window"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises((DataError, UsageError), match="link to somewhere else"):
        load_boxes(path)
