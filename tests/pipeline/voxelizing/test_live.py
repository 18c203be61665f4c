"""Windows straight from a recording are those of a cache made from it, to the bit."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.errors import RecordingError, UsageError
from pipeline.ingest.convert import ingest_recording
from pipeline.ingest.raw_recording import open_raw
from pipeline.ingest.reading import Growth
from pipeline.release.shards import EVENT_DTYPE, SKIP_US, WINDOW_US, walk_release
from pipeline.voxelizing.live import LiveWindows, live_windows
from pipeline.voxelizing.run import voxelize
from tests.pipeline.evt_files import evt2_words, evt3_words, write_raw
from tests.pipeline.raw_files import write_dat, write_hdf5

SENSOR = (64, 48)
SHARED = ("pillars", "points", "offsets", "spans", "t_start", "starts")


def recorded(windows: int = 37, seed: int = 0, begin: int = 3) -> np.ndarray:
    """Events of a clock that starts late; some windows are empty, one is outside the sensor."""
    rng = np.random.default_rng(seed)
    parts = []
    for slot in range(begin, begin + windows):
        if slot in (begin + 15, begin + 16, begin + 22):
            continue
        events = np.empty(rng.integers(1, 60), EVENT_DTYPE)
        events["t"] = slot * WINDOW_US + np.sort(rng.integers(0, WINDOW_US, len(events)))
        outside = slot == begin + 25
        events["x"] = rng.integers(0, SENSOR[0], len(events)) + SENSOR[0] * outside
        events["y"] = rng.integers(0, SENSOR[1], len(events))
        events["p"] = rng.integers(0, 2, len(events)) if slot % 5 else slot % 2
        parts.append(events)
    return np.concatenate(parts)


def write(path: Path, events: np.ndarray) -> Path:
    """The events in the format that the name's suffix says."""
    if path.suffix == ".dat":
        write_dat(path, events)
    elif path.suffix == ".h5":
        write_hdf5(path, events)
    else:
        words = {".evt2": evt2_words, ".evt3": evt3_words}[path.suffix]
        write_raw(path, f"{path.suffix[-1]}.0", words(events.tolist()), SENSOR)
    return path


def joined(chunks: list[LiveWindows]) -> dict[str, np.ndarray]:
    """All chunks as one range."""
    found = {
        name: np.concatenate([getattr(chunk.windows, name) for chunk in chunks])
        for name in SHARED
        if name != "offsets"
    }
    counts = [np.diff(chunk.windows.offsets, axis=0) for chunk in chunks]
    found["offsets"] = np.concatenate([np.zeros((1, 2), np.int64), *counts]).cumsum(axis=0)
    return found


@pytest.mark.parametrize("preset", ["release", "paper"])
@pytest.mark.parametrize("suffix", [".dat", ".evt2", ".evt3", ".h5"])
@pytest.mark.parametrize("skip_us", [0, SKIP_US])
def test_windows_are_those_of_a_cache_of_the_recording(tmp_path: Path, preset, suffix, skip_us):
    raw = write(tmp_path / f"drive{suffix}", recorded())
    settings = CacheSettings(preset=preset, grid=(24, 16), max_points=3)
    ingest_recording(raw, tmp_path / "release", "test", skip_us=skip_us)
    voxelize(walk_release(tmp_path / "release"), lambda key: SENSOR, tmp_path / "cache", settings)
    cached = PillarCache(tmp_path / "cache").recordings()[0]
    chunks = list(live_windows(open_raw(raw), settings, steps=7, skip_us=skip_us))
    assert [len(chunk.windows) for chunk in chunks[:-1]] == [7] * (len(chunks) - 1)
    assert [chunk.windows.first for chunk in chunks] == list(range(0, 7 * len(chunks), 7))
    live, expected = joined(chunks), cached.read(0, len(cached))
    count = len(cached)
    assert count <= len(live["spans"]) < count + 10  # ingest throws away what fills no shard
    ends = live["offsets"][2 * count]
    for name in ("spans", "t_start", "starts"):
        assert np.array_equal(live[name][:count], getattr(expected, name)), name
    assert live["starts"][:count].sum() > 2
    assert np.array_equal(live["offsets"][: 2 * count + 1], expected.offsets)
    for name, end in (("pillars", ends[0]), ("points", ends[1])):
        assert live[name].dtype == getattr(expected, name).dtype
        assert np.array_equal(live[name][:end], getattr(expected, name))
    events = np.concatenate([chunk.events for chunk in chunks])[:count]
    assert np.array_equal(events, cached.window_column("events_in_range"))


def test_a_range_of_windows_is_that_part_of_them(tmp_path: Path):
    raw = write(tmp_path / "drive.dat", recorded())
    settings = CacheSettings(grid=(24, 16))
    every = joined(list(live_windows(open_raw(raw), settings, steps=4, skip_us=0)))
    chunks = list(live_windows(open_raw(raw), settings, steps=4, skip_us=0, first=5, last=15))
    assert [(c.windows.first, len(c.windows)) for c in chunks] == [(5, 4), (9, 4), (13, 2)]
    assert np.array_equal(joined(chunks)["t_start"], every["t_start"][5:15])
    assert list(live_windows(open_raw(raw), settings, steps=4, skip_us=0, first=500)) == []


@pytest.mark.parametrize("suffix", [".dat", ".evt2", ".evt3"])
def test_a_growing_file_gives_whole_windows_as_they_come_and_the_same_in_the_end(
    tmp_path: Path, suffix
):
    whole = write(tmp_path / f"whole{suffix}", recorded()).read_bytes()
    growing = tmp_path / f"growing{suffix}"
    settings = CacheSettings(grid=(24, 16))
    cut = len(whole) * 2 // 3 + 1  # within a word
    growing.write_bytes(whole[:cut])
    came: list[LiveWindows] = []
    seen_before_growth = []

    def grow() -> None:
        while not came:
            time.sleep(0.01)
        time.sleep(0.1)
        seen_before_growth.append(sum(len(chunk.windows) for chunk in came))
        with growing.open("ab") as file:
            file.write(whole[cut:])

    writer = threading.Thread(target=grow)
    writer.start()
    recording = open_raw(growing, growth=Growth(0.6, lambda: False))
    for chunk in live_windows(recording, settings, steps=5, skip_us=0):
        came.append(chunk)  # the writer waits for the first
    writer.join()
    expected = joined(
        list(
            live_windows(
                open_raw(write(tmp_path / f"again{suffix}", recorded())),
                settings,
                steps=5,
                skip_us=0,
            )
        )
    )
    found = joined(came)
    for name in SHARED:
        assert np.array_equal(found[name], expected[name]), name
    assert 15 < seen_before_growth[0] < len(found["spans"])


def test_a_stopped_recording_ends_with_its_last_whole_window(tmp_path: Path):
    raw = write(tmp_path / "drive.dat", recorded())
    with raw.open("ab") as file:
        file.write(b"\1\2\3")  # half an event
    asked = []

    def stopped() -> bool:
        return bool(asked)

    recording = open_raw(raw, growth=Growth(None, stopped))
    found = []
    for chunk in live_windows(
        recording, CacheSettings(grid=(24, 16)), steps=5, skip_us=0, stopped=stopped
    ):
        found += chunk.windows.t_start.tolist()
        if len(found) == 33:
            asked.append(True)  # the last window has no event behind it
    assert len(found) == 33
    slots = np.unique(recorded()["t"] // WINDOW_US)
    assert found == (slots[:-1] * WINDOW_US).tolist()


def test_a_file_that_becomes_shorter_is_one_sentence(tmp_path: Path):
    raw = write(tmp_path / "drive.dat", recorded())
    recording = open_raw(raw, growth=Growth(5, lambda: False))
    chunks = live_windows(recording, CacheSettings(grid=(24, 16)), steps=500, skip_us=0)
    next(chunks)
    raw.write_bytes(raw.read_bytes()[:-80])
    with pytest.raises(RecordingError, match="became shorter"):
        list(chunks)


def test_hdf5_cannot_be_followed(tmp_path: Path):
    raw = write(tmp_path / "drive.h5", recorded())
    with pytest.raises(UsageError, match="only when it is whole; leave --follow out"):
        open_raw(raw, growth=Growth(None, lambda: False))


def test_the_share_that_is_read_grows_to_one(tmp_path: Path):
    for suffix in (".dat", ".evt2", ".evt3", ".h5"):
        recording = open_raw(write(tmp_path / f"drive{suffix}", recorded()))
        for _ in live_windows(recording, CacheSettings(grid=(24, 16)), steps=5, skip_us=0):
            assert 0 < recording.reading.share <= 1
        assert recording.reading.share == 1
