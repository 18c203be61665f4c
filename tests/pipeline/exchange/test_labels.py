"""The labels of a cache as boxes: the release's own floats, cropped to the sensor."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.exchange.labels import labels_of
from pipeline.release.shards import LABEL_DTYPE, walk_release, write_shard
from pipeline.voxelizing.run import voxelize
from tests.pipeline.sound_recordings import window_events

RECORDING = "val/valfilelist00/one"
ROWS = [  # x, y, w, h, class, track; kept or not
    ((100.1, 50.2, 80.3, 60.4, 2, 5), True),
    ((-20.5, 10, 100, 90, 4, 6), True),
    ((1200, 700, 100, 90, 0, 7), False),  # cropped to 80×20
    ((1200.5, 600.25, 100, 300, 0, 8), True),
    ((10, 10, 5, 5, 0, 9), False),
    ((10, 10, 100, 100, 6, 10), False),  # a class that the cache leaves out
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> PillarCache:
    folder: Path = tmp_path_factory.mktemp("labels")
    labels = np.zeros(len(ROWS), LABEL_DTYPE)
    for k, (row, _) in enumerate(ROWS):
        labels[k] = (500_000 + 3 * 50_000 + k, *row[:5], 0.25, row[5])
    windows = [labels if k == 3 else labels[:0] for k in range(10)]
    write_shard(
        folder / "release", RECORDING, 1, [window_events(10 + k) for k in range(10)], windows
    )
    settings = CacheSettings(grid=(64, 48), classes=(0, 2, 4), min_side=25.0)
    voxelize(walk_release(folder / "release"), lambda key: (1280, 720), folder / "cache", settings)
    return PillarCache(folder / "cache")


def test_labels_are_those_kept_to_the_bit_and_cropped_to_the_sensor(cache):
    found = labels_of(cache, cache.recordings("val"))
    (recording,) = found.recordings
    assert (found.scored, found.class_names) == (False, cache.settings.class_names)
    assert (recording.name, recording.sensor) == (RECORDING, (1280, 720))
    assert recording.numbers.tolist() == list(range(10))
    assert recording.times.tolist() == [500_000 + 50_000 * k for k in range(10)]
    assert recording.window.tolist() == [3, 3, 3]
    assert recording.bounds().tolist() == [0, 0, 0, 0, 3, 3, 3, 3, 3, 3, 3]
    kept = [row for row, stays in ROWS if stays]
    inside, left, corner = recording.boxes
    as_floats = np.array(kept[0][:4], np.float32)
    assert [inside[name] for name in "xywh"] == as_floats.tolist()
    assert [left[name].item() for name in "xywh"] == [0, 10, 79.5, 90]
    assert [corner[name].item() for name in "xywh"] == [1200.5, 600.25, 79.5, 119.75]
    assert recording.boxes["class_id"].tolist() == [2, 4, 0]
    assert recording.boxes["track_id"].tolist() == [5, 6, 8]
    assert recording.boxes["t"].tolist() == [650_000, 650_001, 650_003]
    assert set(recording.boxes["class_confidence"].tolist()) == {0.25}
