"""`docs/stability.md` names tests and figures that exist."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "stability.md"


def test_every_test_that_the_page_names_exists():
    sources = "".join(path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    assert len(named) >= 7
    assert [name for name in sorted(named) if f"def {name}(" not in sources] == []


def test_every_figure_is_shown_and_small():
    shown = {
        PAGE.parent / place
        for place in re.findall(r"\]\((stability/[\w-]+\.svg)\)", PAGE.read_text())
    }
    assert shown == set((PAGE.parent / "stability").glob("*.svg"))
    assert max(path.stat().st_size for path in shown) < 100_000
