"""Figures of rates, shares, distributions and places: labelled, in the page's colours."""

import base64
import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pipeline.report import rate_charts
from pipeline.statistics.schema import Histogram, Quantiles
from tests.pipeline.pages import Page

LABEL = 'a "label" & <more>'


def quantiles(middle: float) -> Quantiles:
    return Quantiles(9, middle, *(middle * k / 4 for k in range(1, 8)))


RATES = {"train": [quantiles(4e5), None, quantiles(2e6)], "val": [quantiles(3e5)], "test": []}
FIGURES: dict[str, Callable[[], str]] = {
    "over time": lambda: rate_charts.rate_over_time(RATES, 2, LABEL),
    "by recording": lambda: rate_charts.rates_by_recording([[1.0, None, 4.0], [2.0]], 2, LABEL),
    "shares": lambda: rate_charts.shares_by_class(
        {"release": {"car": 0.4, "bus": None}, "suggested": {"car": 0.0, "bus": 0.1}}, "x", LABEL
    ),
    "no shares": lambda: rate_charts.shares_by_class({"release": {"car": None}}, "x", LABEL),
    "two": lambda: rate_charts.two_distributions(
        Histogram((0.0, 1.0, 10.0, 100.0), {"this": (1, 5, 2), "other": (0, 0, 0)}), "x", "y", LABEL
    ),
    "below one": lambda: rate_charts.two_distributions(
        Histogram((0.25, 0.5, 0.75), {"this": (1, 5), "other": (2, 2)}), "x", "y", LABEL
    ),
    "spots": lambda: rate_charts.spots_over_frame([(3, 4), (60, 30)], 64, 36, 16 / 9, LABEL),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_one_labelled_element_that_takes_the_pages_colours(name):
    svg = FIGURES[name]()
    page = Page(svg)
    assert page.tags[0] == ("svg", page.tags[0][1])
    assert page.tags[0][1]["role"] == "img"
    assert page.tags[0][1]["aria-label"] == LABEL
    assert re.findall(r"#[0-9a-f]{6}\b", svg) == []
    assert "var(--" in svg
    assert svg == FIGURES[name]()


def test_time_without_a_window_stays_blank():
    data = Page(FIGURES["by recording"]()).all("image")[0]["href"]
    image = Image.open(io.BytesIO(base64.b64decode(data.split(",")[1])))
    opacity = np.array(image.convert("RGBA"))[..., 3]
    assert sorted(np.unique(opacity)) == [0, 128, 180, 255]


def test_rates_are_read_in_thousands_and_millions():
    text = Page(FIGURES["over time"]()).text
    assert re.search(r"\d M\b", text)
    assert "seconds since a recording's begin" in text
