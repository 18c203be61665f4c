"""Shares of resting boxes: the same of a cache and of its release's manifest, and in the report."""

from dataclasses import replace

import pytest

from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import walk_release
from pipeline.report.motion import motion_section
from pipeline.report.page import render_report
from pipeline.selection.scan import scan_release
from pipeline.statistics.of_cache import collect_from_cache
from pipeline.statistics.of_manifest import collect_from_manifest
from pipeline.voxelizing.run import voxelize
from tests.pipeline.selection.motion_release import SENSOR, expected_counts, write_release


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("motion")
    write_release(found / "release")
    settings = CacheSettings(grid=(64, 36), classes=(2,))  # the others' boxes count all the same
    voxelize(walk_release(found / "release"), lambda key: SENSOR, found / "cache", settings)
    return found


def test_a_cache_and_its_releases_manifest_count_the_same(folder):
    expected = expected_counts(folder / "release")
    of_manifest = collect_from_manifest(scan_release(folder / "release")).motion
    of_cache = collect_from_cache(PillarCache(folder / "cache")).motion
    assert of_manifest.boxes["train"] == expected
    assert set(of_manifest.boxes["test"].values()) == {0}
    assert of_cache == of_manifest
    assert (of_cache.slow_speed, of_cache.moving_speed) == (20, 100)


def test_the_report_has_counts_and_shares_of_the_splits_that_are_there(folder):
    statistics = collect_from_cache(PillarCache(folder / "cache"))
    section = motion_section(statistics)
    ((row,),) = (table.rows for table in section.tables)
    counts = statistics.motion.boxes["train"]
    assert row[0] == "train"
    assert row[1] == str(sum(counts.values()))
    assert row[2] == str(counts["resting"])
    assert row[3].startswith(f"{100 * counts['resting'] / sum(counts.values()):.1f}")
    assert "Motion of boxes" in render_report(statistics)


def test_a_manifest_that_does_not_tell_has_none(folder):
    manifest = scan_release(folder / "release")
    rows = tuple(
        replace(row, label_checks=replace(row.label_checks, motion=None))
        for row in manifest.recordings
    )
    statistics = collect_from_manifest(replace(manifest, recordings=rows))
    assert statistics.motion is None
    assert motion_section(statistics) is None
