"""Pictures of windows of a cache: which, what they show, and what they say of themselves."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import EVENT_DTYPE, WINDOW_US, shard_path, write_shard
from pipeline.report.example_windows import draw_example_events, draw_example_windows
from pipeline.report.page import render_report
from pipeline.selection.scan import scan_release
from pipeline.statistics.collect import collect_statistics
from tests.pipeline.caches import make_cache
from tests.pipeline.pages import Page
from tests.pipeline.sound_recordings import boxes, window_events, write_recording

RED, BLUE, OCHRE = (210, 30, 40), (70, 130, 200), (196, 140, 60)


def image(svg: str) -> np.ndarray:
    data = re.search(r"base64,([^\"]+)", svg)
    return np.array(Image.open(io.BytesIO(base64.b64decode(data[1]))).convert("RGB"))


def one_window(folder: Path, settings: CacheSettings) -> PillarCache:
    """A block of brighter events, one of darker ones, and a box around the first."""
    windows = []
    for k in range(10):
        y, x = (axis.ravel() for axis in np.mgrid[100:200, 100:200])
        events = np.zeros(2 * len(x), EVENT_DTYPE)
        events["x"], events["y"] = np.tile(x, 2), np.tile(y, 2)
        events["x"][len(x) :] += 800
        events["p"][: len(x)] = 1
        events["t"] = (10 + k) * WINDOW_US + np.arange(len(events))
        windows.append(events)
    labels = [boxes((60, 60, 180, 180, 2)) for _ in windows]
    write_shard(folder / "release", "train/l/r", 1, windows, labels)
    return make_cache(folder / "release", folder / "cache", settings)


@pytest.mark.parametrize(
    "settings",
    [CacheSettings(), CacheSettings(grid=(64, 36)), CacheSettings(preset="paper", grid=(400, 90))],
)
def test_a_picture_has_the_sensors_shape_and_what_is_in_the_window(tmp_path, settings):
    (figure,) = draw_example_windows(one_window(tmp_path, settings))
    pixels = image(figure.svg)
    assert pixels.shape == (180, 320, 3)
    bright = (pixels[27:48, 27:48] == BLUE).all(axis=2)
    dark = (pixels[27:48, 227:248] == OCHRE).all(axis=2)
    assert bright.mean() > 0.5
    assert dark.mean() > 0.5
    assert not (pixels[100:, :] != 255).any()
    assert (pixels[15, 17:58] == RED).all()  # the top of the box, from x 15 to 60
    assert "1 car" in figure.title
    assert re.search(
        r'alt="[\d\u202f,]+ pillars of 20(\.0)?\u202fk events, and 1 car\."', figure.svg
    )


def test_two_recordings_of_each_split_are_shown_and_the_page_takes_them(tmp_path):
    for split, names in (("train", "abcde"), ("test", "f")):
        for name in names:
            write_recording(tmp_path / "release", f"{split}/l/{name}", shards=1)
    cache = make_cache(tmp_path / "release", tmp_path / "cache")
    figures = draw_example_windows(cache)
    shown = [figure.title.split(",")[0] for figure in figures]
    assert shown == ["train/l/b", "train/l/d", "test/l/f"]
    page = Page(render_report(collect_statistics(cache), examples=figures))
    assert len(page.all("img")) == 3
    assert all(picture["alt"] for picture in page.all("img"))


def test_a_window_with_more_boxes_than_most_is_shown_and_a_freak_is_not(tmp_path):
    counts = [1, 1, 1, 1, 2, 2, 3, 3, 3, 40]
    labels = [boxes(*((20 * k, 100, 80, 60, 2) for k in range(n))) for n in counts]
    events = [window_events(10 + k) for k in range(10)]
    write_shard(tmp_path / "release", "val/l/r", 1, events, labels)
    (figure,) = draw_example_windows(make_cache(tmp_path / "release", tmp_path / "cache"))
    assert figure.title.endswith(": 3 car")


def test_a_manifests_windows_are_drawn_from_its_shards_while_they_are_unchanged(tmp_path):
    for name in "ab":
        write_recording(tmp_path / "release", f"train/l/{name}", shards=3)
    manifest = scan_release(tmp_path / "release")
    first, second = draw_example_events(manifest)
    assert first.title == "train/l/a, shard 002, window 5: 1 car"
    pixels = image(first.svg)
    assert pixels.shape == (180, 320, 3)
    assert (pixels[25, 25:45] == 120).all()  # the box's top, in grey
    assert 'alt="40 events, and 1 car."' in first.svg
    page = Page(render_report(collect_statistics(manifest), examples=[first, second]))
    assert "As the sensor saw them" in page.text
    shard_path(tmp_path / "release", "train/l/a", 2, "labels").write_bytes(b"another")
    shard_path(tmp_path / "release", "train/l/b", 2, "events").unlink()
    assert draw_example_events(manifest) == []
    assert draw_example_events(scan_release(tmp_path / "release", labels_only=True)) == []


def test_names_of_classes_do_not_end_the_alternative_text(tmp_path):
    names = ('a "quoted" <b>', "other")
    settings = CacheSettings(class_names=names, classes=(0, 1), min_side=1, min_diagonal=1)
    write_recording(tmp_path / "release", "train/l/r", shards=1, class_id=0)
    (figure,) = draw_example_windows(make_cache(tmp_path / "release", tmp_path / "cache", settings))
    (picture,) = Page(figure.svg).all("img")
    assert picture["alt"].endswith(f"1 {names[0]}.")


def test_a_recording_without_windows_or_boxes_breaks_nothing(tmp_path):
    write_recording(tmp_path / "release", "train/l/a", shards=1)
    for path in (tmp_path / "release").rglob("lb001.npz"):
        path.unlink()
    assert draw_example_windows(make_cache(tmp_path / "release", tmp_path / "cache")) == []
    events = [window_events(10 + k) for k in range(10)]
    write_shard(tmp_path / "bare", "train/l/a", 1, events, [boxes() for _ in events])
    (figure,) = draw_example_windows(make_cache(tmp_path / "bare", tmp_path / "cache2"))
    assert "no box" in figure.title
