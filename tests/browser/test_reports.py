"""A real browser opens every report, on a phone and on a desk, in light and in dark."""

import pytest

from tests.browser.checks import key_figures, quiet, readable, true_figures
from tests.browser.reports import REPORTS

WINDOWS = [(width, scheme) for width in (390, 1280) for scheme in ("light", "dark")]


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
@pytest.mark.parametrize("name", REPORTS)
def test_the_page_is_quiet_and_readable(reports, browser, name, width, scheme):
    from tests.browser.chromium import open_page

    with open_page(browser, reports[name].html, width, scheme) as opened:
        complaints = readable(opened)
        assert complaints + quiet(opened) == []


@pytest.mark.parametrize("name", REPORTS)
def test_the_page_shows_the_numbers_of_its_json(reports, browser, name):
    from tests.browser.chromium import open_page

    report = reports[name]
    assert len(report.figures) >= 3
    with open_page(browser, report.html, 1280, "light") as opened:
        assert true_figures(key_figures(opened), report.figures) == []
