"""`dmanet-data stats --compare` as a user types it."""

import json
from pathlib import Path

import pytest

from tests.cli.data.commands import GRID, refused, run
from tests.pipeline.pages import Page


@pytest.fixture(scope="module")
def cache(manifest, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("stats") / "cache"
    assert run("voxelize", manifest, path, *GRID, "--quiet").exit_code == 0
    return path


def test_a_cache_is_laid_beside_a_manifest_and_a_file(cache, manifest, tmp_path):
    numbers = tmp_path / "numbers.json"
    assert run("stats", cache, "-o", tmp_path / "r.html", "--json", numbers).exit_code == 0
    found = {}
    for name, other in (("manifest", manifest), ("file", numbers)):
        html, content = tmp_path / f"{name}.html", tmp_path / f"{name}.json"
        made = run("stats", cache, "-o", html, "--json", content, "--compare", other, "--quiet")
        assert made.exit_code == 0, made.output
        found[name] = json.loads(content.read_text())["comparison"]
        assert "Beside another data set" in Page(html.read_text()).text
    assert found["file"]["other_kind"] == "cache"
    assert found["file"]["values"]["side"]["drift"] == 0
    assert found["manifest"]["other_kind"] == "manifest"
    assert found["manifest"]["values"]["side"]["drift"] is None
    assert found["manifest"]["splits"]["all"]["class_drift"] == 0
    # A source alone is measured as beside another one.
    content = json.loads((tmp_path / "file.json").read_text())
    content["comparison"] = None
    assert content == json.loads(numbers.read_text())


def test_numbers_of_a_later_version_are_refused_and_nothing_is_written(cache, tmp_path):
    later = tmp_path / "later.json"
    later.write_text(json.dumps({"format": "dmanet-statistics", "version": 99}))
    stats = ("stats", cache, "-o", tmp_path / "r.html", "--compare")
    refused(*stats, later, code=1, saying="statistics of version 99, this program reads 1 to 2")
    refused(*stats, tmp_path / "no", code=2, saying="No such file")
    later.write_text("[]")
    refused(*stats, later, code=1, saying="not a manifest")
    assert [path.name for path in tmp_path.iterdir()] == ["later.json"]


def test_what_is_compared_is_never_written_over(cache, manifest, tmp_path):
    before = manifest.read_bytes()
    refused("stats", cache, "-o", manifest, "--compare", manifest, code=2, saying="--compare")
    assert manifest.read_bytes() == before


def test_a_cache_page_shows_windows(cache, tmp_path):
    html = tmp_path / "r.html"
    assert run("stats", cache, "-o", html, "--quiet").exit_code == 0
    pictures = Page(html.read_text()).all("img")
    assert len(pictures) == 4  # two of train, and one each of val and test
    assert all("pillars of" in picture["alt"] for picture in pictures)
