"""Every command of the pages that lead from recordings to a network, as it stands there."""

from pathlib import Path

import pytest

from benchmarks.walkthrough import PAGES, commands_of, walk


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = list(walk(page, seconds=1.1, rate=2000))
    assert [row.words for row in ran] == [words for _, words in commands_of(page)]
    assert len(ran) >= 9
    assert all(row.written > 0 for row in ran if " -o " in row.words or "--run-dir" in row.words)
