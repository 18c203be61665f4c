"""Places that fire all the time, against a plain search; planted ones are found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import WINDOW_US, write_shard
from pipeline.selection.scan import scan_release
from pipeline.statistics.collect import collect_statistics
from pipeline.statistics.hot_spots import LEAST_WINDOWS, find_hot_spots
from tests.pipeline.caches import make_cache
from tests.pipeline.releases import random_events
from tests.pipeline.sound_recordings import boxes

HOT = (700, 301)


def plain_search(fired: np.ndarray, windows: int) -> set[tuple[int, int, float]]:
    rows, columns = fired.shape
    found = set()
    for y in range(rows):
        for x in range(columns):
            around = [
                fired[v, u] / windows
                for v in range(max(y - 2, 0), min(y + 3, rows))
                for u in range(max(x - 2, 0), min(x + 3, columns))
                if (v, u) != (y, x)
            ]
            middle = float(np.median(around)) if around else 0.0
            own = fired[y, x] / windows
            if own >= 0.5 and own >= 3 * middle:
                found.add((x, y, round(middle, 6)))
    return found


@given(st.data(), st.integers(1, 9), st.integers(1, 70))
def test_hot_places_are_those_of_a_plain_search(data, columns, rows):
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    fired = random.binomial(40, random.choice([0.1, 0.2, 0.6, 1.0], (rows, columns)))
    hot = find_hot_spots(fired, 40, "cell", 0)
    expected = plain_search(fired, 40)
    assert hot.count == len(expected)
    listed = {(spot.x, spot.y, round(spot.around, 3)) for spot in hot.spots}
    assert listed <= {(x, y, round(middle, 3)) for x, y, middle in expected}
    assert len(hot.spots) == min(len(expected), 100)
    shares = [spot.share for spot in hot.spots]
    assert shares == sorted(shares, reverse=True)


def test_a_few_windows_tell_nothing():
    fired = np.full((4, 4), LEAST_WINDOWS - 1)
    assert find_hot_spots(fired, LEAST_WINDOWS - 1, "cell", 0) is None


def noisy_release(root: Path) -> None:
    """40 windows of scattered events and one pixel that fires in each."""
    random = np.random.default_rng(3)
    for number in range(1, 5):
        windows = []
        for k in range(10):
            events = random_events(random, (10 * number + k) * WINDOW_US, 60)
            events["x"][30], events["y"][30] = HOT
            windows.append(events)
        labels = [boxes() for _ in windows]
        write_shard(root, "train/trainfilelist00/r", number, windows, labels)


def test_a_planted_pixel_is_found_by_its_cell_in_a_cache_and_by_itself_from_shards(tmp_path: Path):
    noisy_release(tmp_path / "release")
    settings = CacheSettings(grid=(128, 72))
    hot = collect_statistics(
        make_cache(tmp_path / "release", tmp_path / "cache", settings)
    ).hot_spots
    (spot,) = hot.spots
    assert (hot.unit, hot.count, hot.sampled_windows) == ("cell", 1, 40)
    assert (spot.x, spot.y, spot.share) == (HOT[0] // 10, HOT[1] // 10, 1.0)
    manifest = scan_release(tmp_path / "release")
    hot = collect_statistics(manifest).hot_spots
    (spot,) = hot.spots
    assert (hot.unit, hot.columns, hot.rows, hot.sampled_windows) == ("pixel", 1280, 720, 40)
    assert (spot.x, spot.y, spot.share) == (*HOT, 1.0)


def test_shards_that_changed_or_are_gone_are_not_looked_at(tmp_path: Path):
    noisy_release(tmp_path / "release")
    manifest = scan_release(tmp_path / "release")
    for path in sorted((tmp_path / "release").rglob("ev*.npz"))[:3]:
        path.write_bytes(b"another")
    few = collect_statistics(manifest)
    assert few.presets.sampled_windows == 10
    assert few.hot_spots is None  # too few to tell
    gone = collect_statistics(replace(manifest, root=tmp_path / "nowhere"))
    assert (gone.hot_spots, gone.presets) == (None, None)
