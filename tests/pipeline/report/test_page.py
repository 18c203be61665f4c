"""The page as a reader gets it: whole, self-contained, and true to the statistics."""

import dataclasses
import re

import pytest

from pipeline.cache.lock import open_for_writing
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.defects import Defect
from pipeline.report.page import key_figures, render_report, write_report
from pipeline.report.source import DEFECT_MEANING, method_section
from pipeline.selection.scan import scan_release
from pipeline.statistics.collect import collect_statistics
from pipeline.statistics.schema import Statistics
from tests.pipeline.caches import make_cache
from tests.pipeline.pages import Page
from tests.pipeline.rough_release import rough_release
from tests.pipeline.sound_recordings import write_recording


@pytest.fixture(scope="module")
def rough(tmp_path_factory) -> dict[str, Statistics]:
    """Statistics of every kind of source a report may be asked for."""
    folder = tmp_path_factory.mktemp("rough")
    release = rough_release(folder / "release")
    sources: dict[str, Statistics] = {}
    for name, settings in (
        ("release preset", CacheSettings()),
        ("coarse grid", CacheSettings(preset="paper", grid=(16, 12))),
        ("some classes", CacheSettings(classes=(2, 5))),
        ("no boxes", CacheSettings(classes=(4,))),
    ):
        sources[name] = collect_statistics(make_cache(release, folder / name, settings))
    with open_for_writing(folder / "empty", CacheSettings()):
        pass
    sources["empty cache"] = collect_statistics(PillarCache(folder / "empty"))
    sources["manifest"] = collect_statistics(scan_release(release))
    sources["labels only"] = collect_statistics(scan_release(release, labels_only=True))
    return sources


SOURCES = ("release preset", "coarse grid", "some classes", "no boxes")
SOURCES += ("empty cache", "manifest", "labels only")


@pytest.fixture(scope="module")
def html(rough) -> dict[str, str]:
    """The page of every source."""
    return {name: render_report(rough[name]) for name in SOURCES}


@pytest.mark.parametrize("name", SOURCES)
def test_page_stands_alone(html, name):
    html = html[name]
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert not page.all("script")
    assert not page.all("link")
    assert not re.search(r"@import|url\((?!#)|https?://", html)
    for address in page.values("href") + page.values("src"):
        assert address.startswith(("#", "data:"))


@pytest.mark.parametrize("name", SOURCES)
def test_page_is_sound_and_accessible(html, name):
    page = Page(html[name])
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for target in [value for value in page.values("href") if value.startswith("#")]:
        assert target[1:] in ids
    for target in page.values("aria-labelledby"):
        assert target in ids
    assert all(svg["aria-label"] for svg in page.all("svg"))
    assert all(cell["scope"] in ("col", "row", "colgroup") for cell in page.all("th"))
    assert "None" not in page.text
    assert "nan" not in page.text.lower().split()


def test_the_same_statistics_give_the_same_page(rough, html):
    assert render_report(rough["coarse grid"]) == html["coarse grid"]


def test_names_from_files_are_text_not_markup(html):
    html = html["release preset"]
    assert "b <i>" not in html
    assert "train/trainfilelist00/b <i>$x$ & co" in Page(html).text


def test_page_says_what_it_describes_and_what_was_sampled(rough, html):
    statistics = rough["release preset"]
    text = Page(html["release preset"]).text
    assert statistics.source.fingerprint in text
    assert statistics.source.digest in text
    assert "measured on a sample: 40 windows, all of them" in text
    many = dataclasses.replace(statistics.pillars, sampled_windows=25)
    text = Page(render_report(dataclasses.replace(statistics, pillars=many))).text
    assert "25 windows, of 40, drawn with seed 0" in text


def test_key_figures_are_the_totals(rough):
    figures = {f.label: (f.value, f.detail) for f in key_figures(rough["release preset"])}
    assert figures["recordings"] == ("3", "2 train · 0 val · 1 test")
    assert figures["recorded"][1] == "40 windows of 50 ms"
    assert figures["kept boxes"] == ("30", "of 30 in the release")
    assert figures["windows left out"][0] == "10"
    assert figures["boxes of the rarest class: bus"][0] == "0"


def test_tables_hold_the_numbers_of_each_split_and_recording(html):
    text = Page(html["release preset"]).text
    assert re.search(r"pedestrian 20 20 66\.7 % 0 0 –", text)
    assert re.search(r"train/trainfilelist00/a 1280 × 720 10 0 10 40 50\.0 % 10 ", text)
    assert "missing-label-file events without their label file 10 windows 1 of 3 10" in text
    assert "empty-window no event inside the sensor 1 window 1 of 3 0" in text


def test_manifest_counts_files_where_a_cache_counts_windows(html):
    text = Page(html["manifest"]).text
    assert "missing-label-file events without their label file 1 file 1 of 3" in text


def test_unknown_things_are_left_out_not_shown_as_zero(html):
    text = Page(html["labels only"]).text
    assert "events in a mean window – not known" in text
    assert "Pillars" not in text


def test_every_setting_of_the_cache_is_in_the_table_with_its_meaning(rough):
    (table,) = method_section(rough["coarse grid"]).tables
    rows = {name: (value, meaning) for name, value, meaning in table.rows}
    assert all(field.description for field in CacheSettings.model_fields.values())
    for name, field in CacheSettings.model_fields.items():
        assert rows[name][1] == field.description
    assert rows["grid"][0] == "16, 12"
    assert rows["time_steps"][0] == "0"


def test_every_defect_has_a_meaning():
    assert set(DEFECT_MEANING) == set(Defect)


def test_report_is_written_whole_and_replaces_what_was_there(rough, html, tmp_path):
    path = tmp_path / "new" / "report.html"
    write_report(rough["manifest"], path)
    write_report(rough["empty cache"], path)
    assert path.read_text() == html["empty cache"]
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_names_are_shown_and_never_become_markup(tmp_path):
    name = '<img src=x onerror="alert(1)">&$x_1${{ 7 * 7 }}'
    write_recording(tmp_path / name, f"train/trainfilelist00/{name}", shards=1)
    page = render_report(collect_statistics(scan_release(tmp_path / name)))
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=&#34;alert(1)&#34;&gt;&amp;$x_1${{ 7 * 7 }}") >= 2
