"""The report's pictures in docs/, light and dark: `python -m tests.browser.screenshots`."""

import io
import tempfile
from pathlib import Path

from PIL import Image

from tests.browser.chromium import Scheme, find_chromium, open_browser, open_page
from tests.browser.reports import REPORTS, simulate

DOCS = Path(__file__).parents[2] / "docs"
WIDTH, HEIGHT = 1280, 1425
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def main() -> None:
    """Simulate a release, report on its cache, and keep the top of the page as a browser shows it."""
    program = find_chromium()
    if program is None:
        raise SystemExit("no Chromium on PATH; apt-get install chromium brings one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder, size="320x180", rate=6000, seconds=4, recordings=4)
        page = REPORTS["stats of a cache"](folder).html
        with open_browser(program) as browser:
            for scheme in SCHEMES:
                with open_page(browser, page, WIDTH, scheme) as opened:
                    opened.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
                    shot = Image.open(io.BytesIO(opened.page.screenshot()))
                path = DOCS / f"report-{scheme}.png"
                _in_few_colours(shot.convert("RGB")).save(path, optimize=True)
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _in_few_colours(image: Image.Image) -> Image.Image:
    """With a palette of the 256 colours that are met most: those of series stay apart."""
    found = sorted(image.getcolors(image.width * image.height) or (), reverse=True)[:256]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for _, colour in found for value in colour])
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
