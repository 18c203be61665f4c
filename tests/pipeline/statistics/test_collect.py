"""Statistics against what the release's files hold, counted directly."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache.lock import open_for_writing
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CacheError
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.sensors import write_sensor
from pipeline.release.shards import shard_path, write_shard
from pipeline.selection.manifest import read_manifest, write_manifest
from pipeline.selection.scan import scan_release
from pipeline.statistics import schema as statistics_schema
from pipeline.statistics.collect import collect_statistics, write_statistics
from pipeline.statistics.pillars import SAMPLE_WINDOWS, sample_windows
from tests.pipeline.caches import make_cache
from tests.pipeline.sound_recordings import boxes, window_events, write_recording

PLAIN = CacheSettings()


@pytest.fixture(scope="module")
def golden_release(golden) -> Path:
    return golden / "shard"


@pytest.fixture(scope="module")
def golden_cache(golden_release, tmp_path_factory) -> PillarCache:
    return make_cache(golden_release, tmp_path_factory.mktemp("golden") / "cache")


@pytest.fixture(scope="module")
def paper_cache(golden_release, tmp_path_factory) -> PillarCache:
    cache = tmp_path_factory.mktemp("paper") / "cache"
    return make_cache(golden_release, cache, CacheSettings(preset="paper", max_points=4))


def source_windows(release: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Events and labels of every window, read with NumPy alone."""
    windows = []
    for events in sorted(release.rglob("ev*.npz")):
        folder = Path(str(events.parent).replace("/events/", "/labels/"))
        labels = folder / events.name.replace("ev", "lb")
        with np.load(events) as e, np.load(labels) as l:  # noqa: E741
            windows += [(e[f"e{k}"], l[f"l{k}"]) for k in range(10)]
    return windows


def test_events_are_those_of_the_files(golden_cache, golden_release):
    statistics = collect_statistics(golden_cache)
    inside, positive, read = [], [], 0
    for events, _ in source_windows(golden_release):
        kept = events[(events["x"] < 1280) & (events["y"] < 720)]
        inside.append(len(kept))
        positive.append(float((kept["p"] == 1).mean()))
        read += len(events)
    train = statistics.splits["train"]
    assert (train.recordings, train.windows, train.events) == (1, 10, read)
    found = statistics.events.per_window["train"]
    assert (found.minimum, found.maximum) == (min(inside), max(inside))
    assert found.median == np.median(inside)
    assert sum(statistics.events.per_window_histogram.counts["train"]) == 10
    assert statistics.events.positive_share["train"].mean == pytest.approx(np.mean(positive))
    assert statistics.recordings[0].events_per_window == found
    steps = statistics.pillars.steps["train"]
    assert (steps["read"], steps["in_range"]) == (read, sum(inside))


def test_labels_are_those_of_the_files(golden_cache, golden_release):
    statistics = collect_statistics(golden_cache)
    numbers = np.concatenate([labels["class_id"] for _, labels in source_windows(golden_release)])
    expected = {name: int((numbers == k).sum()) for k, name in enumerate(CLASS_NAMES)}
    train = statistics.splits["train"]
    assert train.labels == statistics.recordings[0].labels == expected
    assert all(train.kept[name] <= expected[name] for name in CLASS_NAMES)
    assert sum(train.kept.values()) > 0
    windows = statistics.boxes.per_window["train"]
    assert sum(windows) == 10
    assert sum(n * count for n, count in enumerate(windows)) == sum(train.kept.values())
    assert train.labelled_windows == 10 - windows[0]
    for name in CLASS_NAMES:
        assert np.sum(statistics.boxes.sizes[name]) == train.kept[name]
        assert np.sum(statistics.boxes.places[name]) == train.kept[name]
        assert statistics.boxes.width_grid[name].count == train.kept[name]


@pytest.mark.parametrize("name", ["golden_cache", "paper_cache"])
def test_pillars_are_those_of_the_decoded_tensors(name, request):
    cache = request.getfixturevalue(name)
    pillars = collect_statistics(cache).pillars
    settings = cache.settings
    counts = np.zeros(settings.max_points + 1, int)
    occupied = np.zeros((2, *settings.grid[::-1]))
    sizes: dict[str, list[int]] = {"negative": [], "positive": []}
    for recording in cache.recordings():
        window = recording.read(0, len(recording))
        for k in range(len(recording)):
            for polarity, series in enumerate(sizes.values()):
                tensors = window.tensors(k, polarity)
                series.append(len(tensors.coords))
                counts += np.bincount(tensors.num_points, minlength=len(counts))
                np.add.at(occupied[polarity], tuple(tensors.coords[:, 1:].T), 1)
    assert pillars.sampled_windows == 10
    assert pillars.points_per_pillar == tuple(counts)
    for polarity, series in enumerate(("negative", "positive")):
        assert pillars.per_window[series].mean == pytest.approx(np.mean(sizes[series]))
        assert pillars.occupied[series] == pytest.approx(occupied[polarity].mean() / 10)
        assert sum(pillars.per_window_histogram.counts[series]) == 10
    stored = sum(n * count for n, count in enumerate(counts))
    assert pillars.steps["train"]["stored"] == stored
    rows = np.arange(512) * 18 // 512
    top_left = occupied.sum(axis=0)[rows == 0][:, :16].mean() / 10
    assert pillars.map[0][0] == pytest.approx(top_left, rel=1e-3)
    assert np.shape(pillars.map) == (18, 32)


def test_a_subset_of_classes_keeps_their_names_and_counts(golden_cache, golden_release, tmp_path):
    every = collect_statistics(golden_cache)
    kept = every.splits["train"].kept
    often, seldom = (pick(CLASS_NAMES, key=lambda name: kept[name]) for pick in (max, min))
    assert kept[often] != kept[seldom]
    chosen = (CLASS_NAMES.index(often), CLASS_NAMES.index(seldom))
    few = collect_statistics(
        make_cache(golden_release, tmp_path / "cache", CacheSettings(classes=chosen))
    )
    assert few.classes == (often, seldom)
    assert few.splits["train"].kept == {name: kept[name] for name in few.classes}
    assert few.splits["train"].labels == every.splits["train"].labels
    assert few.boxes.height_grid[often] == every.boxes.height_grid[often]


def test_sizes_come_in_pixels_and_grid_units_of_each_sensor(tmp_path):
    release = tmp_path / "release"
    for name, sensor in (("large", (1280, 720)), ("small", (640, 480))):
        recording = f"train/trainfilelist00/{name}"
        write_recording(release, recording, shards=1, sensor=sensor)
        write_sensor(release, recording, sensor)
    statistics = collect_statistics(make_cache(release, tmp_path / "cache"))
    assert [row.sensor for row in statistics.recordings] == [(1280, 720), (640, 480)]
    car = statistics.boxes.width_grid["car"]
    assert (car.minimum, car.maximum) == (80 / 1280 * 512, 80 / 640 * 512)
    pixels = statistics.boxes.width_pixels["car"]
    assert pixels.minimum == pixels.maximum == 80
    high = statistics.boxes.height_grid["car"]
    assert (high.minimum, high.maximum) == pytest.approx((60 / 720 * 512, 60 / 480 * 512))


def test_ratios_and_sides_are_those_of_the_boxes(tmp_path):
    release = tmp_path / "release"
    rows = ((100, 100, 80, 60, 2), (300, 100, 40, 160, 2), (500, 100, 60, 60, 0))
    labels = [boxes(*rows) for _ in range(10)]
    write_shard(release, "train/l/r", 1, [window_events(10 + k) for k in range(10)], labels)
    found = collect_statistics(make_cache(release, tmp_path / "cache")).boxes
    car = found.ratio_pixels["car"]
    assert (car.count, car.minimum, car.maximum) == (20, 0.75, 4)
    grid = found.ratio_grid["car"]  # 512 cells over 1280 and over 720 pixels
    assert (grid.minimum, grid.maximum) == pytest.approx((0.75 * 16 / 9, 4 * 16 / 9), abs=1e-4)
    assert found.ratio_grid["bus"] is None
    for histogram, low, high in (
        (found.side_histogram, 60, 80),
        (found.ratio_histogram, 0.75, 4),
    ):
        assert sum(histogram.counts["car"]) == 20
        assert histogram.edges[0] <= low < histogram.edges[1]
        assert histogram.edges[-2] <= high < histogram.edges[-1]


def test_rates_over_time_are_those_of_the_windows_of_each_second(tmp_path):
    release = tmp_path / "release"
    first = {1: 40, 2: 40, 3: 100, 4: 100, 5: 7, 9: 20}  # events of a window, by shard
    for name, counts in (("a", first), ("b", {1: 60})):
        for shard, count in counts.items():
            indices = range(10 * shard, 10 * shard + 10)
            events = [window_events(index, count) for index in indices]
            write_shard(release, f"train/l/{name}", shard, events, [boxes() for _ in indices])
    statistics = collect_statistics(make_cache(release, tmp_path / "cache"))
    one, other = statistics.recordings
    # A second is two shards; the third holds one, the fourth none, the fifth one.
    assert one.rates == (40 * 20, 100 * 20, 7 * 20, None, 20 * 20)
    assert other.rates == (60 * 20,)
    events = statistics.events
    assert events.slot_seconds == 1
    slots = events.rate_over_time["train"]
    assert [None if q is None else (q.count, q.median) for q in slots] == [
        (2, 1000), (1, 2000), (1, 140), None, (1, 400),
    ]  # fmt: skip
    assert events.rate_over_time["val"] == ()


def test_a_long_recording_has_its_rates_in_longer_slots(tmp_path):
    release = tmp_path / "release"
    for shard in (1, 300):  # 150 s
        indices = range(10 * shard, 10 * shard + 10)
        events = [window_events(index, 30) for index in indices]
        write_shard(release, "train/l/a", shard, events, [boxes() for _ in indices])
    statistics = collect_statistics(make_cache(release, tmp_path / "cache"))
    assert statistics.events.slot_seconds == 5
    assert statistics.recordings[0].rates == (600, *[None] * 28, 600)


def test_windows_at_the_limit_of_pillars_are_counted(tmp_path):
    release = tmp_path / "release"
    events = [window_events(10 + k, count=20 + 40 * (k > 6)) for k in range(10)]
    write_shard(release, "train/l/r", 1, events, [boxes() for _ in events])
    cache = make_cache(release, tmp_path / "cache", CacheSettings(preset="paper", max_pillars=20))
    pillars = collect_statistics(cache).pillars
    assert pillars.full_windows == {"negative": 3, "positive": 3}
    assert pillars.per_window["negative"].maximum == 20


def test_a_track_is_as_long_as_the_windows_it_has_boxes_in(tmp_path):
    release, recording = tmp_path / "release", "train/trainfilelist00/r"
    labels = []
    for k in range(10):
        rows = boxes((10, 10, 80, 60, 2), (300, 10, 80, 60, 2), (10, 300, 80, 60, 0))
        rows["track_id"] = (7, 8, 7)
        labels.append(rows[: 1 + 2 * (k < 4)])  # track 8 and the pedestrian: four windows
    write_shard(release, recording, 1, [window_events(10 + k) for k in range(10)], labels)
    tracks = collect_statistics(make_cache(release, tmp_path / "cache")).boxes.track_windows
    assert (tracks["car"].count, tracks["car"].minimum, tracks["car"].maximum) == (2, 4, 10)
    assert (tracks["pedestrian"].count, tracks["pedestrian"].median) == (1, 4)
    assert tracks["bus"] is None


def test_gaps_cut_sequences(tmp_path):
    release, recording = tmp_path / "release", "val/valfilelist00/r"
    write_recording(release, recording, shards=5)
    for kind in ("events", "labels"):
        shard_path(release, recording, 2, kind).unlink()
    statistics = collect_statistics(make_cache(release, tmp_path / "cache"))
    lengths = statistics.sequences.windows["val"]
    assert (lengths.count, lengths.minimum, lengths.maximum) == (2, 10, 30)
    assert statistics.sequences.clips == {"train": 0, "val": 4, "test": 0}
    assert statistics.sequences.gap_ms.count == 1
    assert statistics.sequences.gap_ms.maximum == 500
    assert statistics.sequences.backwards == 0
    assert (statistics.recordings[0].sequences, statistics.recordings[0].gaps) == (2, 1)
    assert statistics.splits["train"].recordings == 0


def test_a_window_left_out_ends_a_sequence_and_is_no_gap(tmp_path):
    release, recording = tmp_path / "release", "val/valfilelist00/r"
    write_recording(release, recording, shards=1)
    break_window(release, recording)
    statistics = collect_statistics(make_cache(release, tmp_path / "cache"))
    (row,) = statistics.recordings
    assert (row.sequences, row.gaps) == (2, 0)
    assert statistics.sequences.gap_ms.count == 1
    scanned = collect_statistics(scan_release(release))
    assert scanned.recordings[0].gaps == row.gaps


def break_window(release: Path, recording: str) -> None:
    """Give window 3 of the recording's first shard a polarity that does not exist."""
    windows = [window_events(10 + k) for k in range(10)]
    windows[3]["p"] = 9
    labels = [boxes((100, 100, 80, 60, 2)) for _ in range(10)]
    write_shard(release, recording, 1, windows, labels)


@pytest.mark.parametrize(
    ("policy", "left_out", "repeated"), [("quarantine", 11, 0), ("repeat", 10, 1)]
)
def test_windows_that_cannot_be_used_are_counted_by_cause(tmp_path, policy, left_out, repeated):
    release, recording = tmp_path / "release", "train/trainfilelist00/r"
    write_recording(release, recording, shards=2)
    break_window(release, recording)
    shard_path(release, recording, 2, "labels").unlink()
    statistics = collect_statistics(make_cache(release, tmp_path / "cache", on_corrupt=policy))
    row = statistics.recordings[0]
    assert (row.left_out, row.repeated, row.windows) == (left_out, repeated, 20 - left_out)
    assert statistics.defects["missing-label-file"] == statistics_schema.DefectStatistics(10, 1, 10)
    assert statistics.defects["bad-polarity"].count == 1
    assert statistics.defects["bad-polarity"].windows_left_out == 1 - repeated


def test_a_cache_of_no_recording_has_statistics(tmp_path):
    with open_for_writing(tmp_path / "cache", PLAIN):
        pass
    statistics = collect_statistics(PillarCache(tmp_path / "cache"))
    assert statistics.recordings == ()
    assert statistics.events.per_window == {"train": None, "val": None, "test": None}
    assert statistics.pillars.sampled_windows == 0
    json.dumps(statistics.to_json(), allow_nan=False)


def test_a_recording_that_lost_every_window_has_statistics(tmp_path):
    release = tmp_path / "release"
    write_recording(release, "test/testfilelist00/r", shards=1)
    shard_path(release, "test/testfilelist00/r", 1, "labels").unlink()
    statistics = collect_statistics(make_cache(release, tmp_path / "cache"))
    row = statistics.recordings[0]
    assert (row.windows, row.left_out, row.sequences, row.events_per_window) == (0, 10, 0, None)
    assert statistics.sequences.windows["test"] is None
    json.dumps(statistics.to_json(), allow_nan=False)


def test_a_window_without_events_counts_as_empty_and_has_no_polarity(tmp_path):
    release, recording = tmp_path / "release", "train/trainfilelist00/r"
    events = [window_events(10 + k, count=0 if k == 4 else 20) for k in range(10)]
    write_shard(release, recording, 1, events, [boxes() for _ in range(10)])
    statistics = collect_statistics(make_cache(release, tmp_path / "cache"))
    assert statistics.events.per_window["train"].minimum == 0
    assert statistics.events.positive_share["train"].count == 9
    assert statistics.pillars.empty_windows == {"negative": 1, "positive": 1}
    assert statistics.boxes.width_grid["car"] is None
    assert statistics.defects["empty-window"].count == 1


def test_bytes_are_those_of_the_files_on_disk(golden_cache, golden_release):
    statistics = collect_statistics(golden_cache)
    events = sum(path.stat().st_size for path in golden_release.rglob("ev*.npz"))
    labels = sum(path.stat().st_size for path in golden_release.rglob("lb*.npz"))
    assert (statistics.storage.events, statistics.storage.labels) == (events, labels)
    assert statistics.splits["train"].source_bytes == events + labels
    folder = Path(golden_cache.location) / golden_cache.recording_ids[0]
    for name, stored in statistics.storage.arrays_stored.items():
        files = [path for path in (folder / name).rglob("*") if path.is_file()]
        assert stored == sum(path.stat().st_size for path in files)
    assert statistics.recordings[0].cache_bytes == sum(statistics.storage.arrays_stored.values())


def test_a_manifest_tells_the_same_as_far_as_it_knows(tmp_path):
    release = tmp_path / "release"
    write_recording(release, "train/trainfilelist00/a", shards=2)
    write_recording(release, "test/testfilelist00/b", shards=1, class_id=0, seed=5)
    write_manifest(scan_release(release), tmp_path / "release.json")
    manifest = collect_statistics(read_manifest(tmp_path / "release.json"))
    cache = collect_statistics(make_cache(release, tmp_path / "cache"))
    for split, row in manifest.splits.items():
        unknown = {"labelled_windows": None, "cache_bytes": None}
        assert row == dataclasses.replace(cache.splits[split], **unknown)
    for ours, theirs in zip(manifest.recordings, cache.recordings, strict=True):
        for field in ("id", "sensor", "windows", "gaps", "events", "labels", "kept", "defects"):
            assert getattr(ours, field) == getattr(theirs, field)
    assert manifest.storage.events == cache.storage.events
    assert (manifest.events, manifest.pillars, manifest.boxes, manifest.sequences) == (None,) * 4


def test_a_manifest_of_labels_alone_knows_no_events(tmp_path):
    release = tmp_path / "release"
    write_recording(release, "train/trainfilelist00/a", shards=1)
    statistics = collect_statistics(scan_release(release, labels_only=True))
    assert statistics.source.labels_only
    assert statistics.splits["train"].events is None
    assert statistics.splits["train"].labels["car"] == 10


def test_the_same_content_gives_the_same_bytes_wherever_it_lies(golden_release, tmp_path):
    files = []
    for folder in ("here", "there"):
        cache = make_cache(golden_release, tmp_path / folder / "cache")
        files.append(tmp_path / f"{folder}.json")
        write_statistics(collect_statistics(cache), files[-1])
    assert files[0].read_bytes() == files[1].read_bytes()
    content = json.loads(files[0].read_text())
    assert (content["format"], content["version"]) == ("dmanet-statistics", 2)
    assert content == json.loads(json.dumps(collect_statistics(cache).to_json()))
    assert not list(tmp_path.glob(".*"))


def test_progress_is_told_after_each_recording(tmp_path):
    release = tmp_path / "release"
    for name in "abc":
        write_recording(release, f"train/trainfilelist00/{name}", shards=1)
    told: list[tuple[int, int]] = []
    collect_statistics(make_cache(release, tmp_path / "cache"), lambda *step: told.append(step))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_processes_give_the_statistics_of_one(tmp_path):
    release = tmp_path / "release"
    for number, name in enumerate(("train/trainfilelist00/a", "val/valfilelist00/b")):
        write_recording(release, name, shards=1 + number)
    write_recording(release, "train/trainfilelist00/c", shards=2)
    cache = make_cache(release, tmp_path / "cache")
    one = collect_statistics(cache).to_json()
    told: list[tuple[int, int]] = []
    two = collect_statistics(cache, lambda *step: told.append(step), workers=2).to_json()
    assert json.dumps(two) == json.dumps(one)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_damaged_array_is_named_by_a_process_too(golden_release, tmp_path):
    release = tmp_path / "release"
    for name in "ab":
        write_recording(release, f"train/trainfilelist00/{name}", shards=1)
    cache = make_cache(release, tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache" / cache.recording_ids[1] / "windows")
    with pytest.raises(CacheError, match="'windows' is missing"):
        collect_statistics(cache, workers=2)


def test_a_damaged_array_is_named(golden_release, tmp_path):
    cache = make_cache(golden_release, tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache" / cache.recording_ids[0] / "windows")
    with pytest.raises(CacheError, match="'windows' is missing"):
        collect_statistics(cache)


@given(st.lists(st.integers(0, 400), max_size=8))
def test_the_sample_draws_each_window_at_most_once_and_as_many_as_it_may(sizes):
    drawn = sample_windows(sizes)
    assert len(drawn) == len(sizes)
    assert sum(map(len, drawn)) == min(sum(sizes), SAMPLE_WINDOWS)
    for windows, size in zip(drawn, sizes, strict=True):
        assert windows == sorted(set(windows))
        assert all(0 <= window < size for window in windows)
    assert drawn == sample_windows(sizes)


def test_every_field_of_the_json_is_documented():
    text = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text()
    documented = set(re.findall(r"`(\w+)`", text))
    for value in vars(statistics_schema).values():
        if dataclasses.is_dataclass(value):
            missing = {field.name for field in dataclasses.fields(value)} - documented
            assert not missing, f"{value.__name__}: {missing}"


def test_a_cache_at_a_relative_path_named_like_zarrs_chunk_folder_is_measured(
    golden_release, tmp_path, monkeypatch
):
    make_cache(golden_release, tmp_path / "c")
    monkeypatch.chdir(tmp_path)
    (recording,) = collect_statistics(PillarCache("c")).recordings
    assert recording.cache_bytes > 0
