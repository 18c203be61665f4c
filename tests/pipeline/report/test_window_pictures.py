"""Pictures show the events and the boxes where they are, and only of files that are as scanned."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.defects import BOX_FAULTS, Defect
from pipeline.release.shards import EVENT_DTYPE, shard_path, write_shard
from pipeline.report.page import render_report
from pipeline.report.window_pictures import MOST_PICTURES, draw_worst_windows, window_picture
from pipeline.selection.entries import MarkedWindow
from pipeline.selection.scan import scan_release
from pipeline.statistics.collect import collect_statistics
from tests.pipeline.pages import Page
from tests.pipeline.sound_recordings import boxes, window_events, write_recording

A = "train/trainfilelist00/a"
GREY, RED, VIOLET, GREEN = (120, 120, 120), (210, 30, 40), (150, 50, 190), (0, 140, 80)
DARKER, BRIGHTER, WHITE = (196, 140, 60), (70, 130, 200), (255, 255, 255)


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def events(*rows):
    window = np.zeros(len(rows), EVENT_DTYPE)
    for row, (x, y, p) in zip(window, rows, strict=True):
        row["x"], row["y"], row["p"] = x, y, p
    return window


def at(image, x, y):
    return tuple(image[y, x].tolist())


def test_events_and_boxes_are_drawn_where_they_are():
    window = events((3, 4, 0), (5, 4, 1), (900, 4, 1))
    labels = boxes((20, 10, 10, 8, 2), (40, 10, 10, 8, 2), (60, 10, 10, 8, 2), (80, 10, 10, 8, 2))
    faults = dict(enumerate(BOX_FAULTS, start=1))
    image = decoded(window_picture(window, labels, faults, (100, 50)))
    assert image.shape == (50, 100, 3)
    assert (at(image, 3, 4), at(image, 5, 4), at(image, 4, 4)) == (DARKER, BRIGHTER, WHITE)
    for x, colour in zip((20, 40, 60, 80), (GREY, RED, VIOLET, GREEN), strict=True):
        for corner in ((x, 10), (x + 10, 10), (x, 18), (x + 10, 18)):
            assert at(image, *corner) == colour
        assert at(image, x + 5, 14) == WHITE


def test_a_large_sensor_makes_a_small_picture():
    image = decoded(window_picture(events((1279, 719, 1)), boxes(), {}, (1280, 720)))
    assert image.shape == (180, 320, 3)
    assert at(image, 319, 179) == BRIGHTER


@pytest.mark.parametrize(
    "row", [(np.nan, 1, 5, 5), (1e30, 1, 5, 5), (-1e30, 1, 5, 5), (1, 1, -5, 5), (0, 0, 1e38, 1e38)]
)
def test_no_box_is_too_wrong_to_be_passed_over(row):
    labels = boxes((*row, 2))
    assert decoded(window_picture(None, labels, {0: Defect.BOX_JUMP}, (30, 20))).shape == (
        20,
        30,
        3,
    )


@pytest.fixture
def faulty(tmp_path):
    """Three windows of a recording hold a box two, three and four times."""
    write_recording(tmp_path, A, shards=1)
    labels = [boxes((100, 100, 80, 60, 2)) for _ in range(10)]
    for k, count in ((2, 2), (5, 4), (7, 3)):
        labels[k] = boxes(*[(100, 100, 80, 60, 2)] * count)
    write_shard(tmp_path, A, 1, [window_events(10 + k) for k in range(10)], labels)
    return scan_release(tmp_path)


def test_the_worst_windows_of_a_recording_come_first(faulty):
    (row,) = faulty.recordings
    assert [(w.member, len(w.boxes)) for w in row.label_checks.worst] == [(5, 3), (7, 2), (2, 1)]
    titles = [figure.title for figure in draw_worst_windows(faulty)]
    assert titles == [
        f"{A}, shard 001, window 5: 3 duplicate-box",
        f"{A}, shard 001, window 7: 2 duplicate-box",
    ]


def test_pictures_of_many_recordings_are_few(faulty):
    rows = tuple(replace(faulty.recordings[0]) for _ in range(MOST_PICTURES))
    assert len(draw_worst_windows(replace(faulty, recordings=rows))) == MOST_PICTURES


def test_files_that_are_gone_or_others_now_are_not_drawn(faulty):
    path = shard_path(faulty.root, A, 1, "labels")
    data = path.read_bytes()
    path.write_bytes(data + b"more")
    assert draw_worst_windows(faulty) == []
    path.unlink()
    assert draw_worst_windows(faulty) == []
    path.write_bytes(data)
    shard_path(faulty.root, A, 1, "events").unlink()
    assert len(draw_worst_windows(faulty)) == 2  # the boxes alone


def test_a_manifest_that_names_boxes_or_shards_that_are_not_there_draws_nothing(faulty):
    (row,) = faulty.recordings
    for marked in (
        MarkedWindow(1, 5, ((4, Defect.BOX_JUMP),)),
        MarkedWindow(3, 5, ((0, Defect.BOX_JUMP),)),
    ):
        checks = replace(row.label_checks, worst=(marked,))
        other = replace(faulty, recordings=(replace(row, label_checks=checks),))
        assert draw_worst_windows(other) == []


def test_the_page_holds_pictures_and_counts(faulty):
    page = render_report(collect_statistics(faulty), draw_worst_windows(faulty))
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert [decoded(base64.b64decode(one)).shape for one in pictures] == [(180, 320, 3)] * 2
    assert "http" not in page
    text = Page(page).text
    assert "duplicate-box 6 6" in text
    assert "in 0 of 1 recording it does" in text


def test_a_scan_of_labels_alone_says_what_was_not_looked_at(faulty):
    text = Page(render_report(collect_statistics(scan_release(faulty.root, labels_only=True)))).text
    assert "Events were not read" in text
    assert "in 0 of" not in text
