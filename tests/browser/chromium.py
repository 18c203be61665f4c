"""A headless Chromium of the machine's own, and a page in it that may ask for nothing but a file."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, Route, sync_playwright

Scheme = Literal["light", "dark"]
NAMES = ("chromium", "chromium-browser", "google-chrome")

#: Until fonts are there and two frames are drawn: by then a script at the page's end has asked, too.
_DRAWN = """() => document.fonts.ready.then(() => new Promise(
  (drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))))"""


def find_chromium() -> str | None:
    """Where a Chromium is on PATH."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def open_browser(program: str) -> Iterator[Browser]:
    """A browser without a window; it ends with the block.

    While it is open no other event loop runs in this thread: keep the block short.
    """
    # Chromium's sandbox refuses to run for root, as in a container.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class Opened:
    """A page as it stands in a window, and what it did on the way there.

    Attributes:
        page: to be measured.
        said: errors and warnings on its console, and what went wrong in its scripts.
        asked: every address it asked for besides its own file.
    """

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def open_page(browser: Browser, file: Path, width: int, scheme: Scheme) -> Iterator[Opened]:
    """A file in a window ``width`` pixels wide, in light or dark."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    try:
        opened = Opened(context.new_page())
        own = file.resolve().as_uri()

        def answer(route: Route) -> None:
            if route.request.url.split("#")[0] == own:
                route.continue_()
            else:
                opened.asked.append(route.request.url)
                route.abort()

        context.route("**/*", answer)
        context.route_web_socket("**/*", lambda socket: opened.asked.append(socket.url))
        opened.page.on(
            "console",
            lambda said: (
                opened.said.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.goto(own, wait_until="load")
        opened.page.evaluate(_DRAWN)
        yield opened
    finally:
        context.close()
