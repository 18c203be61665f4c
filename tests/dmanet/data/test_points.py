from pathlib import Path

import numpy as np
import pytest

from dmanet.data.points import POINT_DTYPE, read_points
from pipeline.errors import UsageError
from pipeline.release.members import read_events
from pipeline.release.npz import NpzFile
from pipeline.release.shards import shard_path
from tests.dmanet.caches import LONG, SMALL


@pytest.fixture(params=["release", "paper"])
def either_cache(request, cache, paper_cache):
    return {"release": cache, "paper": paper_cache}[request.param]


@pytest.mark.parametrize("key", [LONG, SMALL])
def test_points_of_preset_paper_are_events_of_their_windows(paper_cache, key):
    """To the pixel and the µs, on the recording's clock."""
    recording = paper_cache.recording(key)
    release = Path(paper_cache.location).parent / "release"
    for window, (shard, member) in enumerate(recording.table("windows")[:, :2].tolist()):
        points = read_points(recording, window, window + 1)
        events = read_events(NpzFile(shard_path(release, key, shard, "events")), member)
        kept = {tuple(point) for point in points[["t", "x", "y", "p"]].tolist()}
        assert kept <= {tuple(event) for event in events[["t", "x", "y", "p"]].tolist()}
        assert len(kept) == len(points) == len(recording.read(window, window + 1).points)


def test_points_of_preset_release_lie_in_their_cells_and_bins(cache):
    recording = cache.recording(LONG)
    columns, rows = cache.settings.grid
    width, height = recording.sensor
    points = read_points(recording, 0, 20)
    windows = recording.read(0, 20)
    for window in range(20):
        own = points[points["window"] == window]
        dt = own["t"] - recording.window_column("t_first")[window]
        time_bin = dt * (windows.encoding.settings.num_bins - 1) // max(windows.spans[window], 1)
        for polarity in (0, 1):
            found = own["p"] == polarity
            cells = np.stack(
                [own["x"].astype(int) * columns // width, own["y"].astype(int) * rows // height]
            )[:, found]
            expected = windows.tensors(window, polarity)
            used = np.arange(windows.encoding.settings.max_points) < expected.num_points[:, None]
            there = np.stack([*cells, time_bin[found]]).T.astype(np.float32)
            order, other = (np.lexsort(rows.T) for rows in (there, expected.points[used]))
            assert np.array_equal(there[order], expected.points[used][other])


def test_a_range_is_its_windows_in_order_of_time(either_cache):
    recording = either_cache.recording(LONG)
    points = read_points(recording, 3, 9)
    assert points.dtype == POINT_DTYPE
    alone = [read_points(recording, window, window + 1) for window in range(3, 9)]
    assert np.array_equal(points, np.concatenate(alone))
    assert all((np.diff(one["t"]) >= 0).all() for one in alone)
    assert len(alone[0]) > 100


def test_windows_that_are_not_there_are_refused(either_cache):
    with pytest.raises(UsageError, match="it has 30"):
        read_points(either_cache.recording(LONG), 29, 31)
