"""What must hold for a page that somebody reads: each check gives complaints, none for a sound page."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.chromium import Opened

_MEASURE = (Path(__file__).parent / "measure.js").read_text()
_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(?: ([kMG]))?(?: %)?")


def quiet(opened: "Opened") -> list[str]:
    """It says nothing on the console and asks for nothing."""
    return [f"the console says: {line}" for line in opened.said] + [
        f"the page asks for {address}" for address in opened.asked
    ]


def readable(opened: "Opened") -> list[str]:
    """No text is cut, overlaps or pales; every figure is told in words; colours follow the wish."""
    measured = opened.page.evaluate(_MEASURE)
    assert measured["texts"], "the page holds no text: nothing was measured"
    return measured["complaints"]


def key_figures(opened: "Opened") -> dict[str, str]:
    """The large numbers at the top of a page, by what stands under them."""
    shown = opened.page.locator(".key > div")
    return {
        one.locator("dt").inner_text(): one.locator(".value").inner_text().replace("\u202f", " ")
        for one in shown.all()
    }


def true_figures(shown: Mapping[str, str], expected: Mapping[str, float]) -> list[str]:
    """Every expected number stands in the page, as far as its digits go.

    Args:
        shown: as :func:`key_figures` gives them.
        expected: what they must be, by the same words, from the JSON.
    """
    complaints = []
    for label, value in expected.items():
        text = shown.get(label)
        if text is None:
            complaints.append(f"no key figure is called “{label}”, only {sorted(shown)}")
        elif not _is(text, value):
            complaints.append(f"“{label}” is {text} in the page and {value} in the JSON")
    return complaints


def _is(text: str, value: float) -> bool:
    """Whether ``text`` writes ``value``, rounded to the digits that it shows."""
    joined = re.sub(r"(?<=\d) (?=\d{3}\b)", "", text)
    found = _NUMBER.fullmatch(joined)
    if found is None:
        return False
    digits, unit = found[1], _UNITS[found[2] or ""] / (100 if joined.endswith("%") else 1)
    step = 10.0 ** -len(digits.partition(".")[2]) * unit
    return abs(float(digits) * unit - value) <= step / 2 + 1e-9 * abs(value)
