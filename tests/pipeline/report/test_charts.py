import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from pipeline.report import charts
from pipeline.statistics.schema import Histogram, Quantiles, RecordingStatistics
from tests.pipeline.pages import Page

LABEL = 'a "label" & <more>'


def quantiles(low: float, high: float) -> Quantiles:
    steps = np.linspace(low, high, 7)
    return Quantiles(9, float(steps.mean()), *(float(v) for v in steps))


def drawn(name: str) -> str:
    classes = ["car", "bus"]
    histogram = Histogram((0.0, 1.0, 10.0, 100.0), {"train": (1, 5, 2), "val": (0, 0, 0)})
    shares = Histogram((0.4, 0.5, 0.6), {"train": (3, 1)})
    return {
        "classes": lambda: charts.boxes_by_class(
            {"train": {"car": 900, "bus": 0}, "val": {"car": 3, "bus": 1}}, LABEL
        ),
        "per window": lambda: charts.boxes_per_window({"train": [5, 0, 2], "test": [1]}, LABEL),
        "ranges": lambda: charts.ranges_by_class(
            {"width": {c: quantiles(3, 40) for c in classes}, "height": {"car": None, "bus": None}},
            "grid units",
            LABEL,
        ),
        "counts": lambda: charts.count_histogram(histogram, ["train", "val"], "events", LABEL),
        "shares": lambda: charts.share_histogram(shares, ["train"], "positive", LABEL),
        "points": lambda: charts.points_per_pillar([0, 90, 10], LABEL),
        "places": lambda: charts.place_map([[0, 1], [4, 0]], 16 / 9, LABEL),
        "sizes": lambda: charts.size_map(np.eye(36, dtype=int), 2 ** (np.arange(37) / 4), LABEL),
    }[name]()


NAMES = ["classes", "per window", "ranges", "counts", "shares", "points", "places", "sizes"]


@pytest.mark.parametrize("name", NAMES)
def test_figure_is_one_labelled_element_that_takes_the_pages_colours(name):
    svg = drawn(name)
    page = Page(svg)
    assert page.tags[0][0] == "svg"
    assert page.tags[0][1]["role"] == "img"
    assert page.tags[0][1]["aria-label"] == LABEL
    assert len(page.all("svg")) == 1
    assert "width" not in page.tags[0][1]  # it fills its place in the page
    assert not page.all("style")
    assert "font-family" not in svg
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) == set()
    assert "var(--" in svg
    assert all(value.startswith(("#", "data:")) for value in page.values("href"))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_numbers_give_the_same_figure(name):
    assert drawn(name) == drawn(name)


def test_series_without_a_box_stand_at_the_edge_of_the_class_chart():
    axis = Page(drawn("classes")).text
    assert "car" in axis
    assert "bus" in axis
    hollow = re.findall(r'<use [^>]*style="fill-opacity: 0; stroke: var', drawn("classes"))
    assert len(hollow) == 1


def test_a_map_is_as_opaque_as_the_root_of_its_values():
    data = Page(drawn("places")).all("image")[0]["href"]
    image = Image.open(io.BytesIO(base64.b64decode(data.split(",")[1])))
    opacity = np.array(image.convert("RGBA"))[..., 3]
    assert sorted(np.unique(opacity)) == [0, 128, 255]


def test_events_by_recording_shows_busy_recordings_only():
    def row(name: str, q: Quantiles | None) -> RecordingStatistics:
        return RecordingStatistics(
            f"train/l/{name}", "train", (64, 48), 9, 0, 0, 1, 0, 9, q, 0.5, {}, {}, {}, 1, 1
        )

    rows = [row("a", quantiles(10, 90)), row("b", None), row("c", quantiles(0, 0))]
    one = charts.events_by_recording(rows, "x")
    assert one == charts.events_by_recording(rows[:1], "x")
