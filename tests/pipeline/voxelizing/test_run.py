"""Shards to cache: every fault has a name, and a policy says what becomes of it."""

import json
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.kill_writer import content
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.defects import BOX_FAULTS, FATAL, Defect
from pipeline.errors import ShardError, UsageError
from pipeline.release.shards import (
    EVENT_DTYPE,
    LABEL_DTYPE,
    WINDOW_US,
    shard_path,
    walk_release,
    write_shard,
)
from pipeline.simulation.recordings import SimulationSettings, simulate_release
from pipeline.statistics.collect import collect_statistics
from pipeline.statistics.info import cache_info
from pipeline.voxelizing.outcome import LeftOut, write_report
from pipeline.voxelizing.run import voxelize
from tests.pipeline.releases import random_events, write_recording
from tests.pipeline.voxelized import (
    FATAL_AND_WINDOWS_LOST,
    RECORDING,
    SETTINGS,
    damage,
    run,
)


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "release"
    write_recording(root, RECORDING, shards=(1, 2))
    return root


@pytest.mark.parametrize(("defect", "lost"), FATAL_AND_WINDOWS_LOST)
def test_quarantine_leaves_the_window_out_and_lists_it(release, tmp_path, defect, lost):
    damage(release, defect)
    report = run(release, tmp_path / "c").made[0]
    assert report.windows == 20 - lost
    assert {(w.shard, w.defect) for w in report.left_out} == {(2, defect)}
    assert report.defects[defect.value] == lost
    recording = PillarCache(tmp_path / "c").recording(RECORDING)
    assert len(recording) == 20 - lost
    stored = recording.attributes["defects"]
    assert stored["counts"][defect.value] == lost
    assert len(stored["left_out"]) == lost
    expected_starts = [0, 13] if lost == 1 and defect is not Defect.MISSING_MEMBER else [0]
    assert np.flatnonzero(recording.window_column("starts")).tolist() == expected_starts


@pytest.mark.parametrize(("defect", "lost"), FATAL_AND_WINDOWS_LOST)
def test_fail_stops_with_one_sentence_and_publishes_nothing(release, tmp_path, defect, lost):
    damage(release, defect)
    with pytest.raises(ShardError, match=r"002\.npz") as caught:
        run(release, tmp_path / "c", on_corrupt="fail")
    assert caught.value.defect is defect
    assert len(str(caught.value).splitlines()) == 1
    assert list(content(tmp_path / "c")) == ["zarr.json"]


def test_repeat_puts_the_previous_window_in_place_and_counts_it(release, tmp_path):
    damage(release, Defect.BAD_CRC)
    report = run(release, tmp_path / "c", on_corrupt="repeat").made[0]
    assert report.windows == 20
    assert [w.repeated for w in report.left_out] == [True]
    recording = PillarCache(tmp_path / "c").recording(RECORDING)
    both = recording.read(12, 14)
    np.testing.assert_array_equal(both.tensors(0, 1).points, both.tensors(1, 1).points)
    assert recording.window_column("repeated").tolist() == [0] * 13 + [1] + [0] * 6
    assert np.flatnonzero(recording.window_column("starts")).tolist() == [0]


def test_faults_that_keep_the_window_are_counted(tmp_path):
    rng = np.random.default_rng(0)
    starts = [(10 + k) * WINDOW_US for k in range(10)]
    windows = [random_events(rng, start, 50) for start in starts]
    windows[1] = windows[1][:0]
    windows[2]["x"] = 1280
    windows[3]["p"] = 1
    windows[4]["t"] = starts[4]
    windows[5]["t"] = windows[5]["t"][::-1].copy()
    windows[8]["t"] += 3 * WINDOW_US
    windows[9]["t"] += 3 * WINDOW_US
    write_shard(tmp_path / "r", RECORDING, 1, windows, [np.empty(0, LABEL_DTYPE)] * 10)
    report = run(tmp_path / "r", tmp_path / "c").made[0]
    assert report.windows == 10
    assert dict(report.defects) == {
        "empty-window": 2,
        "event-out-of-frame": 50,
        "single-polarity": 1,
        "single-timestamp": 1,
        "unsorted-time": 1,
        "time-gap": 1,
    }
    recording = PillarCache(tmp_path / "c").recording(RECORDING)
    assert np.flatnonzero(recording.window_column("starts")).tolist() == [0, 8]
    assert recording.window_column("events_in_range").tolist() == [50, 0, 0, *[50] * 7]


def test_two_workers_give_the_bytes_of_one(release, tmp_path):
    for k in range(3):
        write_recording(release, f"train/trainfilelist01/rec_{k}", shards=(1,), seed=k)
    run(release, tmp_path / "one")
    report = run(release, tmp_path / "two", workers=2)
    assert len(report.made) == 4
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_an_unknown_policy_is_refused(release, tmp_path):
    with pytest.raises(UsageError, match="policy 'ignore'"):
        run(release, tmp_path / "c", on_corrupt="ignore")
    assert not (tmp_path / "c").exists()


def test_events_of_other_integer_widths_give_the_same_cache_content(release, tmp_path):
    run(release, tmp_path / "plain")
    for path in (release / "train").rglob("ev*.npz"):
        with np.load(path) as arrays:
            wide = {k: arrays[k].astype([(n, "<i4") for n in EVENT_DTYPE.names]) for k in arrays}
        np.savez_compressed(path, **wide)
    run(release, tmp_path / "wide")
    plain, wide = content(tmp_path / "plain"), content(tmp_path / "wide")
    differing = {name for name in plain if plain[name] != wide[name]}
    assert differing == {f"{RECORDING}/zarr.json"}  # only the source's digest


def test_events_and_labels_pair_by_number_when_one_of_each_is_missing(tmp_path):
    write_recording(tmp_path / "r", RECORDING, shards=(1, 2, 3))
    shard_path(tmp_path / "r", RECORDING, 1, "labels").unlink()
    shard_path(tmp_path / "r", RECORDING, 3, "events").unlink()
    report = run(tmp_path / "r", tmp_path / "c").made[0]
    assert dict(report.defects) == {"missing-label-file": 10, "missing-event-file": 10}
    recording = PillarCache(tmp_path / "c").recording(RECORDING)
    # By position, events of shard 1 would have met the labels of shard 2.
    assert recording.window_column("shard").tolist() == [2] * 10
    assert recording.window_column("t_start").tolist() == [(20 + k) * WINDOW_US for k in range(10)]
    raw = recording.table("labels_raw")
    assert raw[:, 1].tolist() == [(20 + k) * WINDOW_US for k in range(10) for _ in range(3)]


def test_a_window_too_long_for_packed_time_is_left_out_by_name(tmp_path):
    rng = np.random.default_rng(0)
    windows = [random_events(rng, (10 + k) * WINDOW_US, 50) for k in range(10)]
    windows[4]["t"][-1] += 3_000_000_000
    write_shard(tmp_path / "r", RECORDING, 1, windows, [np.empty(0, LABEL_DTYPE)] * 10)
    settings = CacheSettings(preset="paper")
    report = voxelize(walk_release(tmp_path / "r"), lambda _: (1280, 720), tmp_path / "c", settings)
    assert report.left_out == [LeftOut(RECORDING, 1, 4, Defect.WRONG_DTYPE)]
    assert report.made[0].windows == 9


def test_every_planted_defect_is_named_in_the_store_in_info_in_statistics_and_in_the_report(
    tmp_path,
):
    planted = simulate_release(
        tmp_path / "r",
        SimulationSettings(
            sensor=(96, 64),
            recordings={"train": 1, "test": 1},
            seconds=4.0,
            rate=2000,
            defects=tuple(Defect),
        ),
    ).defects
    assert {place.defect for place in planted} == set(Defect)
    cache = tmp_path / "c"
    settings = CacheSettings(**{**dict(SETTINGS), "drop": BOX_FAULTS})
    report = voxelize(walk_release(tmp_path / "r"), lambda _: (96, 64), cache, settings)
    write_report(report, cache, tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text())
    info = cache_info(PillarCache(cache))
    statistics = collect_statistics(PillarCache(cache))
    stored: Counter[str] = Counter()
    for recording in PillarCache(cache).recordings():
        stored.update(recording.attributes["defects"]["counts"])
    assert set(stored) == {defect.value for defect in Defect}
    assert stored == info["defects"] == document["defects"]
    assert stored == {name: found.count for name, found in statistics.defects.items()}
    listed = {(w.recording, w.shard, w.member): w.defect for w in report.left_out}
    for place in planted:
        if place.defect in FATAL:
            members = range(10) if place.window is None else [place.window]
            for member in members:
                assert listed.pop((place.recording, place.shard, member)) is place.defect
    assert listed == {}
    places = [asdict(window) for window in report.left_out]
    assert info["left_out_windows"] == document["left_out"] == places
    assert info["left_out"] == len(places) == sum(stored[defect] for defect in FATAL)
    assert info["windows"] == document["windows"] > 0
