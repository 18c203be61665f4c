"""The motion of a cache's boxes is that of its tracks, and of the events where there are none."""

import numpy as np
import pytest

from pipeline.cache import motion
from pipeline.cache.motion import cached_motion
from pipeline.cache.reader import PillarCache
from pipeline.cache.records import RAW_LABEL_COLUMNS
from pipeline.cache.settings import CacheSettings
from pipeline.release.motion import MOVING, NEVER_MOVED, RESTING, SLOW, UNKNOWN
from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE, WINDOW_US, walk_release, write_shard
from pipeline.voxelizing.run import voxelize

SENSOR = (320, 192)
BUSY, CALM = (16, 16, 64, 64), (160, 96, 64, 64)  # x, y, w, h


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Track 7 brakes and rests, 8 rests throughout; boxes of no track on many events and on few.

    A box of 64 × 64 pixels holds 256 cells.
    """
    folder = tmp_path_factory.mktemp("motion")
    rng = np.random.default_rng(0)
    events, labels = [], []
    for k in range(10, 20):
        window = np.zeros(1000, EVENT_DTYPE)
        window["t"] = np.sort(rng.integers(k * WINDOW_US, (k + 1) * WINDOW_US, 1000))
        window["x"] = np.append(rng.integers(0, 320, 200), rng.integers(16, 80, 800))
        window["y"] = np.append(rng.integers(0, 192, 200), rng.integers(16, 80, 800))
        window["p"] = rng.integers(0, 2, 1000)
        boxes = np.zeros(4, LABEL_DTYPE)
        boxes["t"] = 0 if k == 15 else k * WINDOW_US + 25_000  # of one window no times are known
        ways = (20.0 * min(k - 10, 4), 100, 64, 64), (220, 20, 64, 64)
        for box, place in zip(boxes, (*ways, BUSY, CALM), strict=True):
            box["x"], box["y"], box["w"], box["h"] = place
        boxes["track_id"], boxes["class_id"], boxes["class_confidence"] = (7, 8, 0, 0), 2, 1
        events.append(window)
        labels.append(boxes)
    write_shard(folder / "release", "test/testfilelist00/a", 1, events, labels)
    settings = CacheSettings(preset="release", grid=(80, 48), max_points=5, classes=(2,))
    voxelize(walk_release(folder / "release"), lambda key: SENSOR, folder / "cache", settings)
    return PillarCache(folder / "cache").recordings()[0]


def of_track(recording, place):
    """Kinds and ages of the n-th box of each window."""
    found = cached_motion(recording).rows(np.arange(place, 40, 4))
    return found.kinds.tolist(), found.rests.tolist()


def test_tracks_tell_motion_and_the_age_of_a_stop(recording):
    kinds, rests = of_track(recording, 0)
    assert kinds == [MOVING] * 5 + [RESTING] * 5
    assert rests == [0] * 5 + [1, 2, 3, 4, 5]
    assert of_track(recording, 1) == ([RESTING] * 10, [NEVER_MOVED] * 10)


def test_without_tracks_the_cells_with_events_tell(recording):
    busy, calm = of_track(recording, 2), of_track(recording, 3)
    assert set(busy[0]) == {MOVING}  # about 800 events: 4 a pixel and second
    assert set(calm[0]) == {RESTING}
    assert busy[1] == calm[1] == [0] * 10
    assert {SLOW, UNKNOWN}.isdisjoint(cached_motion(recording).kinds.tolist())


def test_points_are_read_only_of_windows_that_need_them(recording, monkeypatch):
    raw = recording.table("labels_raw").copy()
    raw[:, RAW_LABEL_COLUMNS.index("track_id")] = np.tile([7, 8, 9, 10], 10)
    monkeypatch.setitem(recording._tables, "labels_raw", raw)
    monkeypatch.setattr(type(recording), "read", lambda *_: pytest.fail("pillars were read"))
    assert cached_motion(recording).kinds.reshape(10, 4)[:, 2].tolist() == [RESTING] * 10


def test_densities_of_evenly_spread_events_are_about_their_number(recording):
    corners = np.array([[16, 16, 80, 80], [160, 96, 224, 160], [0, 0, 320, 192]], float)
    found = np.mean([motion._densities(recording, k, corners) for k in range(10)], axis=0)
    few = 200 / (320 * 192) / 0.05
    assert found[0] == pytest.approx(few + 800 / 64**2 / 0.05, rel=0.15)
    assert found[1] == pytest.approx(few, rel=0.3)
    outside = np.array([[-80.0, -80, -8, -8]])
    assert np.isnan(motion._densities(recording, 0, outside)).all()
