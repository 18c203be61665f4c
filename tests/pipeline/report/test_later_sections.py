"""Anchors, rates, losses, hot places, published counts, comparison: the numbers are the JSON's."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.release.shards import WINDOW_US, write_shard
from pipeline.report.anchors import anchors_section
from pipeline.report.comparison import comparison_section
from pipeline.report.elements import Section, Table
from pipeline.report.findings import findings
from pipeline.report.losses import hot_spots_section, losses_section
from pipeline.report.page import render_report
from pipeline.report.published import published_section
from pipeline.report.rates import rates_section
from pipeline.selection.scan import scan_release
from pipeline.statistics.collect import collect_statistics
from pipeline.statistics.comparison import compare_statistics
from pipeline.statistics.other import comparable
from pipeline.statistics.schema import Statistics
from pipeline.text import grouped, share, short
from tests.pipeline.caches import make_cache
from tests.pipeline.pages import Page
from tests.pipeline.releases import random_events, random_labels

HOT = (700, 301)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Statistics]:
    """A cache with a hot pixel and boxes of all sizes, its manifest, and both compared."""
    folder = tmp_path_factory.mktemp("sections")
    random = np.random.default_rng(5)
    for recording in ("train/l/a", "train/l/b", "val/l/c"):
        for number in (1, 2):
            starts = [(10 * number + k) * WINDOW_US for k in range(10)]
            events = [random_events(random, start, 100 * number) for start in starts]
            for window in events:
                window["x"][50], window["y"][50] = HOT
            labels = [random_labels(random, start, 4) for start in starts]
            write_shard(folder / "release", recording, number, events, labels)
    cache = collect_statistics(make_cache(folder / "release", folder / "cache"))
    manifest = collect_statistics(scan_release(folder / "release"))
    both = comparable(cache), comparable(manifest)
    return {
        "cache": replace(cache, comparison=compare_statistics(both[0], both[0])),
        "manifest": replace(manifest, comparison=compare_statistics(both[1], both[0])),
    }


def cells(section: Section | None, number: int = 0) -> dict[str, tuple[str, ...]]:
    """Rows of a section's table by the cell that names them."""
    assert section is not None
    table: Table = section.tables[number]
    assert all(len(row) == len(table.columns) for row in table.rows)
    return {row[0]: row[1:] for row in table.rows}


def test_every_figure_of_a_page_has_an_alternative_text_and_every_row_its_columns(made):
    for statistics in made.values():
        page = Page(render_report(statistics))
        assert page.all("svg")
        assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
        ids = page.values("id")
        for name in ("comparison", "published", "losses", "hot-spots"):
            assert name in ids
    assert {"anchors", "rates"} <= set(Page(render_report(made["cache"])).values("id"))


def test_the_table_of_anchors_is_the_counts(made):
    anchors = made["cache"].anchors
    rows = cells(anchors_section(made["cache"]))
    assert set(rows) == {name for name, kept in anchors.kept.items() if kept}
    for name, (every, *bins) in rows.items():
        before, after = (
            counts.without_positive[name] for counts in (anchors.released, anchors.suggested)
        )
        boxes = anchors.sampled[name]
        assert every == f"{share(sum(before), sum(boxes))} → {share(sum(after), sum(boxes))}"
        assert bins == [
            f"{share(one, n)} → {share(two, n)}" if n else "–"
            for one, two, n in zip(before, after, boxes, strict=True)
        ]
    text = " ".join(anchors_section(made["cache"]).text)
    assert f"that is {share(anchors.released.share_without_positive)} of the boxes" in text
    assert f"suggested ones {share(anchors.suggested.share_without_positive)}" in text
    assert "every kept box" in text
    few = {name: tuple(n // 2 for n in row) for name, row in anchors.sampled.items()}
    half = anchors_section(replace(made["cache"], anchors=replace(anchors, sampled=few)))
    assert f"of {grouped(sum(anchors.kept.values()))} kept boxes" in half.text[0]


def test_rates_are_told_at_begin_and_end(made):
    section = rates_section(made["cache"])
    slots = made["cache"].events.rate_over_time["train"]
    assert f"train: {short(slots[0].median)} events a second" in section.figures[0].caption
    assert len(section.figures) == 2
    assert rates_section(made["manifest"]) is None


def test_a_caches_losses_are_the_steps(made):
    steps = made["cache"].pillars.steps["train"]
    outside, repeated, lost = cells(losses_section(made["cache"]))["train"]
    assert outside.startswith(f"{short(steps['read'] - steps['in_range'])} (")
    assert repeated.startswith(f"{short(steps['in_range'] - steps['after_deduplication'])} (")
    assert lost.startswith(f"{short(steps['after_deduplication'] - steps['stored'])} (")
    full = replace(made["cache"].pillars, full_windows={"negative": 3, "positive": 0})
    text = losses_section(replace(made["cache"], pillars=full)).text[0]
    assert "of 60 windows 3 (5.0\u202f%) for negative ones and 0 (0\u202f%) for positive" in text


def test_a_manifests_losses_are_those_of_each_preset(made):
    presets = made["manifest"].presets
    rows = cells(losses_section(made["manifest"]))
    assert len(rows) == len(presets.presets) == 2
    for (name, row), losses in zip(rows.items(), presets.presets.values(), strict=True):
        assert grouped(losses.max_pillars) in name
        assert row[1].startswith(f"{short(losses.repeated)} (")
        assert row[5] == f"{short(losses.encoded)} ({share(losses.encoded, presets.events)})"
        assert row[6] == grouped(losses.capped_windows)


def test_hot_places_are_cells_of_a_cache_and_pixels_of_a_manifest(made):
    cell, pixel = (hot_spots_section(made[name]) for name in ("cache", "manifest"))
    assert (cell.title, pixel.title) == ("Hot cells", "Hot pixels")
    assert list(cells(pixel)) == [f"{HOT[0]}, {HOT[1]}"]
    assert list(cells(cell)) == [f"{HOT[0] * 512 // 1280}, {HOT[1] * 512 // 720}"]
    assert "A cache knows cells of 2.5 × 1.41 pixels" in cell.text[1]
    assert "not pixels" not in " ".join(pixel.text)
    assert any("hot pixels, or something that stands still" in s for s in findings(made["cache"]))


def test_published_counts_stand_beside_what_is_there(made):
    section = published_section(made["cache"])
    published = made["cache"].published
    columns = section.tables[0].columns[2:]
    assert sorted(columns) == sorted(published.counts)
    rows = cells(section)
    assert rows["val, car"] == (
        grouped(151_200),
        *(grouped(published.counts[rule]["val"]["car"]) for rule in columns),
    )
    assert rows["off by"][1:] == tuple(share(published.difference[rule]) for rule in columns)
    assert section.text[0].startswith("No rule reproduces the published numbers")
    told = replace(published, reproduced_by=(columns[0],))
    text = published_section(replace(made["cache"], published=told)).text[0]
    assert text == f"Every published number is reproduced by the rule “{columns[0]}”."


def test_the_comparison_shows_both_and_what_is_not_told(made):
    itself = comparison_section(made["cache"])
    assert len(itself.figures) == 3
    assert cells(itself)["class shares, all"][-1] == share(0)
    assert findings(replace(made["cache"], hot_spots=None)) == findings(
        replace(made["cache"], hot_spots=None, comparison=None)
    )
    other = comparison_section(made["manifest"])
    assert other.figures == []
    rows = cells(other)
    assert rows["sizes of boxes, median"][-1] == "not told"
    events = made["manifest"].comparison.splits["all"].events
    assert rows["events of a mean window, as read"][0] == short(events[0] / 60)
    for name, (here, there) in made["manifest"].comparison.splits["all"].boxes.items():
        assert (cells(other, 1)[name][0], cells(other, 1)[name][2]) == (
            grouped(here),
            grouped(there),
        )


def test_what_drifts_far_is_worth_knowing(made):
    comparison = made["cache"].comparison
    split = replace(comparison.splits["all"], class_drift=0.2)
    far = replace(comparison, splits={**comparison.splits, "all": split})
    told = findings(replace(made["cache"], comparison=far))
    assert any("the distributions drift: class shares by 20.0" in sentence for sentence in told)
