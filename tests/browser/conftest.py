"""One browser for the pages of a file."""

from collections.abc import Iterator

import pytest

from tests.browser.reports import REPORTS, Report


@pytest.fixture(scope="session")
def reports(tmp_path_factory) -> dict[str, Report]:
    """Every page, by its name."""
    folder = tmp_path_factory.mktemp("reports")
    return {name: make(folder) for name, make in REPORTS.items()}


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A headless Chromium; where there is none the tests say so and are passed over."""
    pytest.importorskip("playwright.sync_api", reason="pip install -e '.[dev]' brings Playwright")
    from tests.browser.chromium import NAMES, find_chromium, open_browser

    program = find_chromium()
    if program is None:
        pytest.skip(f"no browser on PATH ({', '.join(NAMES)}); apt-get install chromium brings one")
    with open_browser(program) as opened:
        yield opened
