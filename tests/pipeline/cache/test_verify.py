"""Verifying a cache: one flipped byte anywhere is found, and so is what its sources contradict."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cache import records as layout
from pipeline.cache.reader import PillarCache
from pipeline.cache.recheck import verify_against_sources
from pipeline.cache.settings import CacheSettings
from pipeline.cache.verify import Finding, verify_cache
from pipeline.errors import UsageError
from pipeline.release.shards import LABEL_DTYPE, WINDOW_US, shard_path, write_shard
from tests.pipeline.caches import make_cache
from tests.pipeline.releases import (
    damage_member,
    random_events,
    random_labels,
    write_recording,
)

RECORDING = "train/trainfilelist00/rec_a"
OTHER = "val/valfilelist00/rec_b"
SMALL = CacheSettings(grid=(64, 64))


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("release")
    write_recording(root, RECORDING, shards=(1, 2, 4))
    write_recording(root, OTHER, shards=(1,), boxes_per_window=0, seed=2)
    return root


@pytest.fixture(scope="module")
def folder(release, tmp_path_factory) -> Path:
    return Path(make_cache(release, tmp_path_factory.mktemp("caches") / "cache").location)


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    """A cache to damage."""
    return shutil.copytree(folder, tmp_path / "cache")


def test_a_sound_cache_has_no_faults(folder):
    assert verify_cache(folder) == []


def test_a_changed_space_is_found(copy):
    path = copy / RECORDING / "zarr.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b" ", 1))
    assert verify_cache(copy) == [Finding(RECORDING, "its zarr.json is not that of a group")]


@settings(max_examples=120)
@given(data=st.data())
def test_one_flipped_byte_in_any_file_is_found(folder, data):
    files = sorted(p for p in (folder / "train").rglob("*") if p.is_file())
    path = data.draw(st.sampled_from(files).map(lambda p: p.relative_to(folder)))
    sound = (folder / path).read_bytes()
    position = data.draw(st.integers(0, len(sound) - 1))
    damaged = bytearray(sound)
    damaged[position] ^= data.draw(st.integers(1, 255))
    try:
        (folder / path).write_bytes(damaged)
        findings = verify_cache(folder)
    finally:
        (folder / path).write_bytes(sound)
    assert findings
    for finding in findings:
        assert str(path).startswith(finding.recording)
        if path.parts[3:4] and path.parts[3] in layout.ARRAYS:
            assert f"'{path.parts[3]}'" in finding.message


@pytest.mark.parametrize("place", [".", "train", "train/trainfilelist00", RECORDING])
def test_damage_that_zarr_overlooks_is_found(copy, place):
    path = copy / place / "zarr.json"
    path.write_text(path.read_text().replace("zarr_format", "zarr_farmer"))
    zarr.open_group(copy / place, mode="r")
    (finding,) = verify_cache(copy)
    assert finding.message == "its zarr.json is not that of a group"


@pytest.mark.parametrize("name", layout.ARRAYS)
def test_a_missing_array_is_named(copy, name):
    shutil.rmtree(copy / RECORDING / name)
    assert verify_cache(copy) == [Finding(RECORDING, f"the array '{name}' is missing")]


def test_what_does_not_belong_is_named(copy):
    (copy / RECORDING / "notes.txt").write_text("mine")
    (copy / OTHER / "pillars" / "c" / "7").write_bytes(b"more")
    assert verify_cache(copy) == [
        Finding(RECORDING, "'notes.txt' is not part of it"),
        Finding(OTHER, "the array 'pillars' does not match its digest"),
    ]


def test_a_recording_without_its_attributes_does_not_hide_the_others(copy):
    (copy / RECORDING / "zarr.json").unlink()
    chunk = next((copy / OTHER / "points" / "c").iterdir())
    chunk.write_bytes(chunk.read_bytes() + b"x")
    found = {finding.recording: finding.message for finding in verify_cache(copy)}
    assert "holds no recording" in found[RECORDING]
    assert "'points'" in found[OTHER]


def test_verifying_needs_no_sources(release, tmp_path):
    # Recordings are added while the sources of earlier ones are gone.
    root = shutil.copytree(release, tmp_path / "release")
    make_cache(root, tmp_path / "c", SMALL)
    shutil.rmtree(root / "train")
    write_recording(root, "test/testfilelist00/rec_c", shards=(3,), seed=5)
    cache = make_cache(root, tmp_path / "c", SMALL)
    assert cache.recording_ids == (RECORDING, OTHER, "test/testfilelist00/rec_c")
    assert verify_cache(tmp_path / "c") == []
    report = verify_against_sources(cache, root, windows=1000)
    assert (report.findings, report.windows) == ([], 20)
    assert report.without_sources == (RECORDING,)


@pytest.mark.parametrize(("preset", "steps"), [("release", 0), ("paper", 0), ("paper", 256)])
def test_sound_windows_are_what_their_sources_give(release, tmp_path, preset, steps):
    root = shutil.copytree(release, tmp_path / "release")
    labels = [random_labels(np.random.default_rng(k), 30 * WINDOW_US, 4) for k in range(10)]
    labels[2]["x"][1] = np.nan
    labels[3] = np.empty(0, LABEL_DTYPE)
    events = [random_events(np.random.default_rng(k), 30 * WINDOW_US, 50) for k in range(10)]
    events[4]["x"] = 5000  # no event on the sensor
    events[5] = events[5][::-1]  # not sorted
    write_shard(root, RECORDING, 3, events, labels)
    settings = CacheSettings(preset=preset, grid=(64, 64), time_steps=steps, classes=(2, 0, 5))
    cache = make_cache(root, tmp_path / "c", settings)
    report = verify_against_sources(cache, root, windows=1000)
    assert (report.findings, report.windows, report.without_sources) == ([], 50, ())


def test_a_repeated_window_is_compared_with_the_one_it_repeats(release, tmp_path):
    root = shutil.copytree(release, tmp_path / "release")
    for member in (4, 5):
        damage_member(shard_path(root, RECORDING, 2, "events"), f"e{member}")
    cache = make_cache(root, tmp_path / "c", SMALL, on_corrupt="repeat")
    assert cache.recording(RECORDING).window_column("repeated").sum() == 2
    assert verify_against_sources(cache, root, windows=1000).findings == []


def republish(recording: Path) -> None:
    """Give an altered recording digests that match, as a faulty writer would."""
    path = recording / "zarr.json"
    attributes = json.loads(path.read_text())["attributes"]
    store = PillarCache(recording.parents[2]).store
    attributes["digests"] = {
        name: store.array_digest(f"{attributes['recording']}/{name}") for name in layout.ARRAYS
    }
    attributes["digest"] = layout.attributes_digest(attributes)
    path.write_bytes(layout.group_document(attributes))


@pytest.mark.parametrize(
    ("array", "position", "says"),
    [
        ("points", None, "points"),
        ("windows", (17, layout.WINDOW_COLUMNS.index("span")), "span"),
        ("labels_raw", None, "labels"),
        ("labels", None, "kept labels"),
    ],
)
def test_what_a_faulty_writer_stored_is_found(copy, release, array, position, says):
    recording = PillarCache(copy).recording(RECORDING)
    table = {"points": ("offsets", 34, 1), "labels_raw": ("label_offsets", 17, 0)}
    if position is None:
        name, row, column = table.get(array, ("label_offsets", 17, 1))
        position = (int(recording.table(name)[row, column]),)  # the first of window 17
        position += () if array == "points" else (3,)
    stored = zarr.open_array(copy / RECORDING / array, mode="r+")
    stored[position] = stored[position] + 1
    republish(copy / RECORDING)
    assert verify_cache(copy) == []
    report = verify_against_sources(PillarCache(copy), release, windows=1000)
    assert report.findings == [
        Finding(
            RECORDING, f"window 17 (shard 002, member 7) has other {says} than its source gives"
        )
    ]


def test_a_sample_finds_a_fault_that_is_everywhere(copy, release):
    stored = zarr.open_array(copy / RECORDING / "windows", mode="r+")
    stored[:, layout.WINDOW_COLUMNS.index("events_read")] = 1
    republish(copy / RECORDING)
    cache = PillarCache(copy)
    found = [
        [f.message for f in verify_against_sources(cache, release, windows=8, seed=seed).findings]
        for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]  # the seed decides which windows
    assert 3 <= len(found[0]) <= 8  # 30 of the 40 windows are at fault
    assert all("events_read" in message for message in found[0])


def test_sources_that_are_others_now_are_named(folder, release, tmp_path):
    root = shutil.copytree(release, tmp_path / "release")
    write_recording(root, OTHER, shards=(1,), boxes_per_window=0, seed=3)
    report = verify_against_sources(PillarCache(folder), root, windows=1000)
    (finding,) = report.findings
    assert finding.recording == OTHER
    assert "ev001.npz has the sha256" in finding.message
    assert "the cache was made from" in finding.message


def test_no_sources_at_all_is_one_sentence(folder, tmp_path):
    with pytest.raises(UsageError, match="holds none of the files that"):
        verify_against_sources(PillarCache(folder), tmp_path)


def test_a_pipe_where_a_source_was_is_not_waited_for(folder, release, tmp_path):
    root = shutil.copytree(release, tmp_path / "release")
    shard = shard_path(root, OTHER, 1, "events")
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(UsageError, match="is a pipe"):
        verify_against_sources(PillarCache(folder), root, windows=1000)
