"""Each check finds its fault where one is planted, and nothing where none is."""

import pytest

from tests.browser.checks import key_figures, quiet, readable, true_figures

PICTURE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/%3E"
STYLE = """<style>
:root { color-scheme: light dark; }
body { margin: 0; background: #fff; color: #222; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee; } }
svg text { fill: currentColor; font: 10px sans-serif; }
</style>"""
SOUND = f"""<p>A page of few words.</p>
<svg role="img" aria-label="Counts of two splits" viewBox="0 0 100 40" width="100" height="40">
<text x="5" y="12">one</text><text x="5" y="30">two</text></svg>
<img src="{PICTURE}" alt="Events of one window">
<div style="overflow: auto; width: 200px" tabindex="0"><div style="width: 500px">wide</div></div>
<dl class="key"><div><dt>boxes</dt><dd class="value">1\u202f234</dd></div></dl>"""

#: Markup with a fault, and what the complaint says of it.
FAULTS = {
    "a page too wide": ("<div style='width: 500px'>x</div>", "pixels wide in a window of 390"),
    "a long word in a narrow column": (
        "<div style='width: 60px'>anextraordinarilylongword</div>",
        "reaches beyond its box",
    ),
    "text that is cut": (
        "<div style='width: 60px; overflow: hidden; white-space: nowrap'>longer than it</div>",
        "is cut",
    ),
    "lines that are cut": (
        "<div style='height: 1em; overflow: hidden'>one<br>two<br>three</div>",
        "is cut",
    ),
    "text outside the window": (
        "<div style='position: absolute; left: -30px; top: 300px'>words at the edge</div>",
        "beyond the window",
    ),
    "text on text": (
        "<div style='position: relative'>under<b style='position: absolute; left: 0'>over</b></div>",
        "overlap",
    ),
    "a box that no key scrolls": (
        "<div style='overflow: auto; width: 90px'><div style='width: 200px'>x</div></div>",
        "no key reaches it",
    ),
    "labels of a figure on each other": (
        "<svg role='img' aria-label='Two labels that meet' viewBox='0 0 90 40' width='90'>"
        "<text x='5' y='20'>seven</text><text x='15' y='22'>eight</text></svg>",
        "overlap",
    ),
    "a label outside its figure": (
        "<svg role='img' aria-label='One label that leaves' viewBox='0 0 40 40' width='40'>"
        "<text x='25' y='20'>seven</text></svg>",
        "beyond its figure",
    ),
    "pale text": ("<p style='color: #888a'>pale</p>", "stands out by"),
    "text paled by opacity": ("<div style='opacity: .3'><p>pale</p></div>", "stands out by"),
    "a pale label": (
        "<svg role='img' aria-label='One label that pales' viewBox='0 0 40 40' width='40'>"
        "<text x='5' y='20' style='fill: #8888'>x</text></svg>",
        "stands out by",
    ),
    "a figure without words": ("<svg viewBox='0 0 9 9' width='9' role='img'></svg>", "no words"),
    "a figure that is no image": (
        "<svg viewBox='0 0 9 9' width='9' aria-label='Dots of each split'></svg>",
        "not marked as an image",
    ),
    "a picture without words": (f"<img src=\"{PICTURE}\" alt=''>", "no words"),
    "two pictures in the same words": (
        f'<img src="{PICTURE}" alt="Events of one window">',
        "same words",
    ),
    "a picture that is not there": (
        "<img src='data:image/png;base64,xx' alt='Not a picture at all'>",
        "does not load",
    ),
    "one scheme for all": (
        "<style>body { background: SCHEME !important; color: INK !important; }</style>",
        "does not follow",
    ),
}
ASKING = {
    "a font": "<style>@font-face { font-family: far; src: url(https://fonts.invalid/a.woff) }"
    "p { font-family: far }</style>",
    "a picture": "<img src='https://pictures.invalid/a.png' alt='Events of one window'>",
    "a file beside it": "<script src='beside.js'></script>",
    "a frame": "<iframe src='https://pages.invalid/'></iframe>",
    "a script's fetch": "<script>fetch('https://numbers.invalid/').catch(() => 0)</script>",
    "a socket": "<script>new WebSocket('wss://sockets.invalid/')</script>",
}


@pytest.fixture
def visit(browser, tmp_path):
    """What ``look`` finds on a page of ``body``."""

    def visited(body, look, width=390, scheme="light"):
        from tests.browser.chromium import open_page

        path = tmp_path / "page.html"
        path.write_text(f"<!DOCTYPE html><html lang=en><meta charset=utf-8>{STYLE}{body}</html>")
        with open_page(browser, path, width, scheme) as opened:
            return look(opened)

    return visited


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_sound_page_has_no_complaint(visit, scheme):
    assert visit(SOUND, lambda page: readable(page) + quiet(page), scheme=scheme) == []


@pytest.mark.parametrize(
    ("fault", "scheme"),
    [(fault, "light") for fault in FAULTS]
    + [(fault, "dark") for fault in FAULTS if "pale" in fault or "scheme" in fault],
)
def test_a_planted_fault_is_found(visit, fault, scheme):
    body, says = FAULTS[fault]
    wrong = ("#fff", "#222") if scheme == "dark" else ("#111", "#eee")
    body = body.replace("SCHEME", wrong[0]).replace("INK", wrong[1])
    assert any(says in line for line in visit(SOUND + body, readable, scheme=scheme))


@pytest.mark.parametrize("kind", ASKING)
def test_a_page_that_asks_for_more_is_told_of(visit, kind):
    complaints = visit(SOUND + ASKING[kind], quiet)
    assert any("the page asks for" in line for line in complaints), complaints


@pytest.mark.parametrize(
    "script", ["console.error('no good')", "console.warn('no good')", "throw Error('no good')"]
)
def test_what_the_console_says_is_told(visit, script):
    assert any("no good" in line for line in visit(f"{SOUND}<script>{script}</script>", quiet))


def test_an_empty_page_measures_nothing_and_is_no_success(visit):
    with pytest.raises(AssertionError, match="nothing was measured"):
        visit("", readable)


def test_a_number_that_differs_from_the_json_is_found(visit):
    shown = visit(SOUND, key_figures)
    assert shown == {"boxes": "1 234"}
    assert true_figures(shown, {"boxes": 1234}) == []
    assert "1235 in the JSON" in true_figures(shown, {"boxes": 1235})[0]
    assert "no key figure" in true_figures(shown, {"recordings": 1})[0]


@pytest.mark.parametrize(
    ("text", "value", "same"),
    [
        ("11.4 k", 11_444, True),
        ("11.4 k", 11_460, False),
        ("3.75 M", 3_745_001, True),
        ("5.7 %", 0.0567, True),
        ("5.7 %", 0.0577, False),
        ("0", 0, True),
        ("–", 0, False),
        ("40 s", 40, False),
    ],
)
def test_a_short_number_is_compared_as_far_as_its_digits_go(text, value, same):
    assert (true_figures({"n": text}, {"n": value}) == []) is same
