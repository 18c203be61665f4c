"""Boxes that a cache leaves out by the names of their faults, and a cache that leaves out none."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.cache.reader import PillarCache
from pipeline.cache.recheck import verify_against_sources
from pipeline.cache.records import describe
from pipeline.cache.settings import CacheSettings
from pipeline.cache.verify import verify_cache
from pipeline.errors import CacheError
from pipeline.release.shards import shard_path, write_shard
from tests.pipeline.caches import make_cache
from tests.pipeline.releases import damage_member
from tests.pipeline.sound_recordings import boxes, window_events

A = "train/trainfilelist00/a"
CAR = (100, 100, 80, 60, 2)
GRID = {"grid": (64, 64)}


def tracked(*rows):
    labels = boxes(*rows)
    labels["track_id"] += 1
    return labels


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    """A box twice in window 3, one without events in window 5, a jump in window 7."""
    root = tmp_path_factory.mktemp("release")
    labels = [tracked(CAR) for _ in range(10)]
    labels[3] = tracked(CAR, CAR)
    labels[5] = tracked(CAR, (900, 500, 65, 65, 4))
    labels[5]["track_id"][1] = 9
    labels[7] = tracked((570, 90, 80, 60, 2))
    write_shard(root, A, 1, [window_events(10 + k) for k in range(10)], labels)
    write_shard(root, A, 2, [window_events(20 + k) for k in range(10)], [tracked(CAR)] * 10)
    events = [np.concatenate([e, e[1:2]]) for e in (window_events(10 + k) for k in range(10))]
    for window in events:  # none in the box of window 5
        window["x"][(window["x"] > 890) & (window["y"] > 490)] = 0
        window["t"] = np.sort(window["t"])
    write_shard(root, A, 1, events, labels)
    return root


def kept(cache: PillarCache) -> list[int]:
    """Boxes kept in each window."""
    recording = cache.recording(A)
    return np.diff(recording.table("label_offsets")[:, 1]).tolist()


@pytest.mark.parametrize(
    ("drop", "missing", "counts"),
    [
        ((), {}, {}),
        (("duplicate-box",), {3: 1}, {"duplicate-box": 1}),
        (("box-without-events",), {5: 1}, {"box-without-events": 1}),
        (
            ("duplicate-box", "box-without-events", "box-jump"),
            {3: 1, 5: 1, 7: 1},
            {"duplicate-box": 1, "box-without-events": 1, "box-jump": 1},
        ),
    ],
)
def test_boxes_with_the_faults_named_are_left_out_and_counted(
    release, tmp_path, drop, missing, counts
):
    cache = make_cache(release, tmp_path / "c", CacheSettings(**GRID, drop=drop))
    everything = {3: 2, 5: 2}
    assert kept(cache) == [everything.get(k, 1) - missing.get(k, 0) for k in range(20)]
    recording = cache.recording(A)
    assert recording.attributes["defects"]["counts"] == counts
    assert len(recording.table("labels_raw")) == 22
    assert verify_cache(cache.location) == []
    report = verify_against_sources(cache, release, windows=20)
    assert (report.findings, report.windows) == ([], 20)


def test_a_cache_without_the_setting_says_nothing_of_it_and_refuses_one_with_it(release, tmp_path):
    make_cache(release, tmp_path / "c", CacheSettings(**GRID))
    assert "drop" not in describe(CacheSettings(**GRID))["settings"]
    dropping = CacheSettings(**GRID, drop=("box-jump",))
    with pytest.raises(
        CacheError, match=r'made with drop = \[\], this run asks for \["box-jump"\]'
    ):
        make_cache(release, tmp_path / "c", dropping)
    make_cache(release, tmp_path / "d", dropping)
    with pytest.raises(
        CacheError, match=r'made with drop = \["box-jump"\], this run asks for \[\]'
    ):
        make_cache(release, tmp_path / "d", CacheSettings(**GRID))


def test_a_comparison_with_the_sources_finds_a_box_that_should_be_gone(release, tmp_path):
    plain = make_cache(release, tmp_path / "c", CacheSettings(**GRID))
    path = Path(plain.location) / "zarr.json"
    dropping = make_cache(release, tmp_path / "d", CacheSettings(**GRID, drop=("duplicate-box",)))
    path.write_bytes((Path(dropping.location) / "zarr.json").read_bytes())
    report = verify_against_sources(PillarCache(plain.location), release, windows=20)
    assert ["kept labels" in finding.message for finding in report.findings] == [True]


def test_a_repeated_window_has_no_events_of_its_own_to_judge_by(release, tmp_path):
    root = tmp_path / "r"
    for number in (1, 2):
        for kind in ("events", "labels"):
            target = shard_path(root, A, number, kind)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(shard_path(release, A, number, kind).read_bytes())
    damage_member(shard_path(root, A, 1, "events"), "e5")
    settings = CacheSettings(**GRID, drop=("box-without-events",))
    cache = make_cache(root, tmp_path / "c", settings, on_corrupt="repeat")
    assert kept(cache)[5] == 2
    assert verify_against_sources(cache, root, windows=20).findings == []
