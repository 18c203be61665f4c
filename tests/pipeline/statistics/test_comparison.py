"""Two sources side by side: nothing drifts from itself, and a file tells what measuring tells."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cache.settings import CacheSettings
from pipeline.errors import DataError
from pipeline.selection.scan import scan_release
from pipeline.statistics.collect import collect_statistics, write_statistics
from pipeline.statistics.comparison import compare_statistics
from pipeline.statistics.other import comparable, is_statistics_file, read_comparable
from pipeline.statistics.schema import Statistics
from tests.pipeline.caches import make_cache
from tests.pipeline.sound_recordings import write_recording


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Statistics]:
    """Quiet cars; busy pedestrians of another grid and other classes; a manifest of the cars."""
    folder = tmp_path_factory.mktemp("compared")
    write_recording(folder / "cars", "train/l/a", shards=2)
    write_recording(folder / "people", "train/l/a", shards=1, class_id=0, count=400)
    write_recording(folder / "people", "val/l/b", shards=1, class_id=2, count=400)
    coarse = CacheSettings(grid=(64, 64), classes=(0, 2, 5))
    return {
        "cars": collect_statistics(make_cache(folder / "cars", folder / "c1")),
        "people": collect_statistics(make_cache(folder / "people", folder / "c2", coarse)),
        "manifest": collect_statistics(scan_release(folder / "cars")),
    }


def compared(sources: dict[str, Statistics], this: str, other: str):
    return compare_statistics(comparable(sources[this]), comparable(sources[other]))


def test_nothing_drifts_from_itself(sources):
    found = compared(sources, "cars", "cars")
    assert found.splits["all"].class_drift == 0
    assert found.splits["val"].class_drift is None  # it has no box
    for values in found.values.values():
        assert values.drift == 0
        assert values.medians[0] == values.medians[1]
        assert values.histogram.counts["this"] == values.histogram.counts["other"]


def test_counts_and_drifts_are_those_of_both(sources):
    found = compared(sources, "cars", "people")
    train = found.splits["train"]
    assert (train.recordings, train.windows) == ((1, 1), (20, 10))
    assert train.events == (20 * 40, 10 * 400)
    assert train.boxes["car"] == (20, 0)
    assert train.boxes["pedestrian"] == (0, 10)
    assert train.class_drift == 1
    every = found.splits["all"]
    assert every.boxes["car"] == (20, 10)
    assert every.class_drift == 0.5
    events = found.values["events"]
    assert events.drift == 1
    assert events.medians == pytest.approx((40, 400), rel=0.13)  # to a bin
    assert sum(events.histogram.counts["other"]) == 20
    # All boxes are of 80 by 60 pixels, whatever the grid.
    assert found.values["side"].drift == 0
    assert found.values["ratio"].medians == pytest.approx((0.75, 0.75), rel=0.1)


def test_drift_is_the_same_from_either_side(sources):
    there, back = compared(sources, "cars", "people"), compared(sources, "people", "cars")
    assert there.splits["all"].class_drift == back.splits["all"].class_drift
    for name, values in there.values.items():
        assert values.drift == back.values[name].drift
        assert values.medians == back.values[name].medians[::-1]


def test_bins_of_both_keep_their_counts(sources):
    for name in ("events", "side", "ratio"):
        found = compared(sources, "cars", "people").values[name]
        edges = found.histogram.edges
        assert list(edges) == sorted(set(edges))
        for side, other in (("this", "cars"), ("other", "people")):
            statistics = sources[other]
            histogram = {
                "events": statistics.events.per_window_histogram,
                "side": statistics.boxes.side_histogram,
                "ratio": statistics.boxes.ratio_histogram,
            }[name]
            counts = np.sum(list(histogram.counts.values()), axis=0)
            mine = dict(zip(edges, found.histogram.counts[side], strict=False))
            own = dict(zip(histogram.edges, counts, strict=False))
            assert {edge: n for edge, n in mine.items() if n} == {e: n for e, n in own.items() if n}


def test_what_a_manifest_does_not_tell_is_not_compared(sources):
    found = compared(sources, "cars", "manifest")
    assert found.splits["all"].class_drift == 0
    for values in found.values.values():
        assert values.drift is None
        assert values.histogram is None
        assert values.medians[1] is None


def test_a_file_tells_what_measuring_tells(sources, tmp_path: Path):
    for name, statistics in sources.items():
        path = tmp_path / f"{name}.json"
        write_statistics(statistics, path)
        assert is_statistics_file(path)
        assert read_comparable(path) == comparable(statistics)


def test_a_file_of_version_1_is_read_and_what_it_lacks_is_not_compared(sources, tmp_path: Path):
    content = json.loads(json.dumps(sources["people"].to_json())) | {"version": 1}
    for name in ("anchors", "hot_spots", "presets", "published", "comparison"):
        del content[name]
    for name in ("side_histogram", "ratio_histogram", "ratio_pixels", "ratio_grid"):
        del content["boxes"][name]
    (tmp_path / "old.json").write_text(json.dumps(content))
    old = read_comparable(tmp_path / "old.json")
    found = compare_statistics(comparable(sources["cars"]), old)
    assert found.values["events"].drift == 1
    assert found.values["side"].drift is None
    assert found.splits["all"].class_drift == 0.5


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        ({"version": 3}, "statistics of version 3, this program reads 1 to 2"),
        ({"version": True}, "statistics of version True"),
        ({"format": "other"}, "no file of statistics; make one"),
        ({"source": {"kind": "cache", "name": "x", "digest": "0"}}, "malformed at 'source.digest'"),
        ({"classes": ["car", "car"]}, "a class is named twice"),
        ({"classes": ["car"]}, "kept must count each of the classes"),
        ({"splits": {}}, "splits must be train, val, test"),
        ({"events": {"per_window_histogram": {"edges": [1, 3], "counts": {}}}}, "not the edges"),
        ({"events": {"per_window_histogram": {"edges": [10, 1], "counts": {}}}}, "must ascend"),
        (
            {"events": {"per_window_histogram": {"edges": [0, 1], "counts": {"train": [-1]}}}},
            "greater than or equal to 0",
        ),
        (
            {"events": {"per_window_histogram": {"edges": [0, 1], "counts": {"train": []}}}},
            "one count for each bin",
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_sentence(sources, tmp_path, change, saying):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(sources["people"].to_json() | change))
    with pytest.raises(DataError) as refusal:
        read_comparable(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert saying in message
    assert "make one with `dmanet-data stats … --json`." in message
    assert "\n" not in message


def test_what_is_no_json_is_no_file_of_statistics(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(b"\xff{}")
    assert not is_statistics_file(path)
    with pytest.raises(DataError, match="no file of statistics"):
        read_comparable(path)


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_read_right_or_refused(sources, tmp_path, data):
    """A value anywhere in the file is replaced by one of another kind or far out of range."""
    content = json.loads(json.dumps(sources["people"].to_json()))
    place = content
    keys = list(content)
    for _ in range(data.draw(st.integers(1, 5))):
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not inner or not isinstance(inner, dict | list):
            break
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        place, key = inner, keys[0]
    odd = st.sampled_from([None, True, -1, 1e300, 2**70, "x", "\ud800", [], {}, [[]], {"a": 1}])
    place[key] = data.draw(odd)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(content))
    try:
        other = read_comparable(path)
    except DataError:
        return
    found = compare_statistics(comparable(sources["cars"]), other)
    json.dumps(found.other_name).encode()
    for split in found.splits.values():
        assert split.class_drift is None or 0 <= split.class_drift <= 1
    for values in found.values.values():
        assert values.drift is None or 0 <= values.drift <= 1
