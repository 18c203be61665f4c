"""Shards to cache: what each fault leads to, continuing, and being killed."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache import PillarCache
from pipeline.cache_layout import CacheSettings
from pipeline.defects import Defect
from pipeline.errors import CacheError, ShardError, UsageError
from pipeline.release import (
    EVENT_DTYPE,
    LABEL_DTYPE,
    WINDOW_US,
    shard_path,
    walk_release,
    write_shard,
)
from pipeline.verify import verify_cache
from pipeline.voxelize import voxelize
from pipeline.voxelize_report import VoxelizeReport
from tests.pipeline.releases import damage_member, random_events, write_recording

RECORDING = "train/trainfilelist00/rec_a"
SETTINGS = CacheSettings(grid=(128, 128))


def run(root: Path, cache: Path, **options) -> VoxelizeReport:
    return voxelize(walk_release(root), lambda recording: (1280, 720), cache, SETTINGS, **options)


def content(cache: Path) -> dict[str, str]:
    """Digest of every file of a cache."""
    return {
        path.relative_to(cache).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(cache.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def release(tmp_path) -> Path:
    root = tmp_path / "release"
    write_recording(root, RECORDING, shards=(1, 2))
    return root


def damage(root: Path, defect: Defect) -> None:
    """Plant one fault in shard 2."""
    events = shard_path(root, RECORDING, 2, "events")
    labels = shard_path(root, RECORDING, 2, "labels")
    if defect is Defect.BAD_CRC:
        damage_member(events, "e3")
    elif defect is Defect.MISSING_EVENT_FILE:
        events.unlink()
    elif defect is Defect.MISSING_LABEL_FILE:
        labels.unlink()
    elif defect is Defect.UNREADABLE_FILE:
        events.write_bytes(events.read_bytes()[:1000])
    else:
        with np.load(events) as arrays:
            windows = [arrays[f"e{k}"].copy() for k in range(10)]
        if defect is Defect.BAD_POLARITY:
            windows[3]["p"][5] = 2
        if defect is Defect.MISSING_MEMBER:
            windows = windows[:9]
        if defect is Defect.WRONG_DTYPE:
            np.savez_compressed(events, **{f"e{k}": w["t"] * 0.5 for k, w in enumerate(windows)})
        else:
            np.savez_compressed(events, **{f"e{k}": w for k, w in enumerate(windows)})


FATAL_AND_WINDOWS_LOST = [
    (Defect.BAD_CRC, 1),
    (Defect.BAD_POLARITY, 1),
    (Defect.MISSING_MEMBER, 1),
    (Defect.MISSING_EVENT_FILE, 10),
    (Defect.MISSING_LABEL_FILE, 10),
    (Defect.UNREADABLE_FILE, 10),
    (Defect.WRONG_DTYPE, 10),
]


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
        "single-polarity": 1,
        "single-timestamp": 1,
        "unsorted-time": 1,
        "time-gap": 1,
    }
    recording = PillarCache(tmp_path / "c").recording(RECORDING)
    assert np.flatnonzero(recording.window_column("starts")).tolist() == [0, 8]
    assert recording.window_column("events_in_range").tolist() == [50, 0, 0, *[50] * 7]


def test_running_again_changes_nothing_and_adds_what_is_new(release, tmp_path):
    run(release, tmp_path / "c")
    before = content(tmp_path / "c")
    report = run(release, tmp_path / "c")
    assert (report.made, report.already_complete) == ([], [RECORDING])
    assert content(tmp_path / "c") == before
    write_recording(release, "val/valfilelist00/rec_b", shards=(1,))
    assert [r.recording for r in run(release, tmp_path / "c").made] == ["val/valfilelist00/rec_b"]
    assert before.items() <= content(tmp_path / "c").items()


def test_a_recording_made_from_other_files_is_refused(release, tmp_path):
    run(release, tmp_path / "c")
    write_recording(release, RECORDING, shards=(1, 2), events_per_window=301)
    with pytest.raises(CacheError, match="the cache was made from"):
        run(release, tmp_path / "c")


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


def test_a_killed_writer_leaves_a_cache_the_next_run_completes(tmp_path):
    release = tmp_path / "release"
    for k in range(8):
        write_recording(
            release, f"train/trainfilelist00/rec_{k}", (1, 2, 3), events_per_window=3000, seed=k
        )
    run(release, tmp_path / "calm")
    expected = content(tmp_path / "calm")
    code = (
        "import sys; from pathlib import Path; from tests.pipeline.test_voxelize import run; "
        "run(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    repository = Path(__file__).parents[2]
    cache = tmp_path / "killed"
    kills = 0
    for delay in (0.0, 0.02, 0.05, 0.1):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(release), str(cache)], cwd=repository
        )
        while process.poll() is None and not (cache / ".building").exists():
            time.sleep(0.005)
        time.sleep(delay)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        assert verify_cache(cache) == []  # whatever is visible is whole
    assert kills
    run(release, cache)
    assert content(cache) == expected


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
