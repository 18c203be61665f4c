"""`dmanet-data export` as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cache.reader import PillarCache
from pipeline.exchange.event_pictures import event_picture
from pipeline.exchange.formats import load_boxes
from pipeline.exchange.labels import labels_of
from tests.cli.data.commands import RECORDING, refused, run
from tests.pipeline.exchange.box_sets import assert_same


def exported(*arguments: object) -> str:
    result = run("export", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_coco_folder_holds_every_label_and_a_picture_of_every_window(cache, tmp_path: Path):
    told = exported(cache, "-o", tmp_path / "out")
    opened = PillarCache(cache)
    expected = labels_of(opened, opened.recordings())
    assert_same(load_boxes(tmp_path / "out"), expected)
    assert told == f"{tmp_path / 'out'}: {expected.boxes()} boxes in 30 windows of 2 recordings\n"
    assert expected.boxes() > 40
    content = json.loads((tmp_path / "out/labels.json").read_text())
    assert len(content["images"]) == 30
    for image in content["images"]:
        with Image.open(tmp_path / "out/data" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
            pixels = np.asarray(picture)
        read = opened.recording(image["recording"]).read(image["window"], image["window"] + 1)
        assert np.array_equal(pixels, event_picture(read, 0))


def test_pixels_of_a_picture_are_lit_where_their_cell_has_events(cache):
    recording = PillarCache(cache).recording(RECORDING)
    windows = recording.read(3, 4)
    picture = event_picture(windows, 0)
    assert picture.shape == (720, 1280, 3)
    cells = [set(map(tuple, windows.tensors(0, p).coords[:, 1:].tolist())) for p in (0, 1)]
    colours = {  # darker, brighter
        (False, False): (13, 17, 27),
        (True, False): (77, 130, 219),
        (False, True): (214, 226, 245),
        (True, True): (146, 178, 232),
    }
    for x in range(0, 1280, 7):
        for y in range(0, 720, 11):
            cell = (y * 64 // 720, x * 64 // 1280)
            lit = (cell in cells[0], cell in cells[1])
            assert tuple(picture[y, x]) == colours[lit]


@pytest.mark.parametrize("form", ["coco", "yolo", "h5"])
def test_what_was_exported_becomes_every_other_format(cache, tmp_path: Path, form):
    exported(cache, "-o", tmp_path / "one", "--format", form, "--split", "val", "--no-pictures")
    assert not list((tmp_path / "one").rglob("*.png"))
    exported(tmp_path / "one", "-o", tmp_path / "boxes", "--format", "npy")
    boxes = np.load(tmp_path / "boxes/val/valfilelist00/rec_v_bbox.npy")
    exported(cache, "-o", tmp_path / "straight", "--format", "npy", "--recording",
             "val/valfilelist00/rec_v")  # fmt: skip
    expected = np.load(tmp_path / "straight/val/valfilelist00/rec_v_bbox.npy")
    assert len(boxes) == len(expected) > 10
    if form == "yolo":
        assert np.allclose(boxes["x"], expected["x"], atol=1e-3)
    else:
        assert boxes.tobytes() == expected.tobytes()


def test_wrong_requests_are_one_sentence_and_leave_nothing(cache, manifest, tmp_path: Path):
    here = tmp_path / "here"
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/thesis.txt").write_text("dear reader")
    for code, arguments, saying in (
        (2, (cache, "-o", tmp_path / "taken"), "exists and is not empty"),
        (2, (cache, "-o", here, "--format", "voc"), "'voc' is not one of"),
        (2, (cache, "-o", here, "--split", "test"), "holds no such recording"),
        (2, (cache, "-o", here, "--recording", "val/x/y"), "holds no such recording"),
        (1, (manifest, "-o", here), "is no COCO JSON of windows"),
        (1, (tmp_path / "taken", "-o", here), "holds no boxes that can be read"),
        (1, (tmp_path / "taken/thesis.txt", "-o", here), "holds no boxes that can be read"),
        (2, (manifest, "-o", here, "--split", "val"), "is no cache"),
        (2, (tmp_path / "absent", "-o", here), "absent"),
    ):
        refused("export", *arguments, code=code, saying=saying)
        assert not here.exists(), arguments
