"""A simulated release is a release: its tree, its windows, its rates; the same bytes each time."""

import errno
import hashlib
import json

import numpy as np
import pytest

from pipeline.errors import SettingsError, UsageError
from pipeline.release.members import read_events, read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.sensors import read_release
from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE, WINDOW_US, walk_release, write_shard
from pipeline.selection.scan import scan_release
from pipeline.simulation import recordings
from pipeline.simulation.recordings import SimulationSettings, simulate_release
from pipeline.tasks import outcomes

SENSOR = (160, 90)
SMALL = SimulationSettings(
    seed=12,
    sensor=SENSOR,
    recordings={"train": 2, "val": 1, "test": 1},
    seconds=1.2,
    rate=3_000,
    objects=5,
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "release"
    return root, simulate_release(root, SMALL)


def windows_of(root):
    """(recording, shard number, window, events, labels) of every window."""
    for recording in walk_release(root):
        for shard in recording.shards:
            events, labels = NpzFile(shard.events), NpzFile(shard.labels)
            for k in range(10):
                found = read_events(events, k), read_labels(labels, k)
                yield recording, shard.number, k, *found


def digests(root):
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_tree_has_the_names_of_the_release(small):
    root, summary = small
    expected = {"simulation.json", "release.json"}
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        for i in range(count):
            for kind, prefix in (("events", "ev"), ("labels", "lb")):
                for shard in (1, 2):  # the first half second is skipped; 0.2 s are thrown away
                    name = f"sim_000012_{split}_{i:04d}"
                    path = f"{split}/{split}filelist00/{kind}/{name}/{prefix}{shard:03d}.npz"
                    expected.add(path)
    assert digests(root).keys() == expected
    assert [r.id for r in summary.recordings] == sorted(r.id for r in walk_release(root))


def test_a_shard_has_the_members_and_the_byte_layout_of_the_release(small):
    root, _ = small
    shard = walk_release(root)[0].shards[0]
    with np.load(shard.events) as arrays:
        assert arrays.files == [f"e{k}" for k in range(10)]
        assert all(arrays[name].dtype == EVENT_DTYPE for name in arrays.files)
    with np.load(shard.labels) as arrays:
        assert arrays.files == [f"l{k}" for k in range(10)]
        assert all(arrays[name].dtype == LABEL_DTYPE for name in arrays.files)


def test_a_window_holds_the_events_of_its_50_ms_in_time_order_inside_the_sensor(small):
    for _, number, k, events, _ in windows_of(small[0]):
        start = (number * 10 + k) * WINDOW_US
        t = events["t"].astype(int)
        assert start <= t[0]
        assert t[-1] < start + WINDOW_US
        assert (np.diff(t) >= 0).all()
        assert events["x"].max() < SENSOR[0]
        assert events["y"].max() < SENSOR[1]
        assert set(events["p"].tolist()) == {0, 1}
        assert len(np.unique(t)) > 300  # continuous in time, not frame by frame


def test_no_pixel_fires_within_its_refractory_time_across_frames_and_windows(small):
    root, _ = small
    name = walk_release(root)[0].name
    events = np.concatenate([w[3] for w in windows_of(root) if w[0].name == name])
    pixel = events["y"].astype(int) * SENSOR[0] + events["x"]
    order = np.lexsort((events["t"], pixel))
    same = np.diff(pixel[order]) == 0
    waits = np.diff(events["t"].astype(int)[order])[same]
    assert waits.min() >= SMALL.refractory_us
    assert len(waits) > 10_000


def test_labels_have_one_box_a_track_at_a_time_inside_the_window(small):
    tracks = {}
    for recording, number, k, _, labels in windows_of(small[0]):
        assert len(np.unique(labels["track_id"])) == len(labels)
        assert (labels["t"] // WINDOW_US == number * 10 + k).all()
        assert (labels["class_confidence"] == 1).all()
        for box in labels:
            key = recording.name, int(box["track_id"])
            assert tracks.setdefault(key, int(box["class_id"])) == box["class_id"]
    assert len(tracks) > 8


def test_events_gather_on_the_objects(small):
    inside = outside = area = 0
    for _, _, _, events, labels in windows_of(small[0]):
        covered = np.zeros(SENSOR[::-1], bool)
        for box in labels:
            x0, y0 = max(0, int(box["x"])), max(0, int(box["y"]))
            covered[y0 : int(box["y"] + box["h"]), x0 : int(box["x"] + box["w"])] = True
        hits = covered[events["y"], events["x"]].sum()
        inside, outside, area = inside + hits, outside + len(events) - hits, area + covered.sum()
    share = area / (80 * SENSOR[0] * SENSOR[1])
    assert 0.05 < share < 0.6
    assert (inside / share) / (outside / (1 - share)) > 3


@pytest.mark.parametrize(
    ("sensor", "rate"), [(SENSOR, 300), (SENSOR, 15_000), ((320, 180), 3_000), ((200, 200), 9_000)]
)
def test_the_rate_is_near_the_one_asked_for(tmp_path, sensor, rate):
    settings = SimulationSettings(
        sensor=sensor, rate=rate, recordings={"val": 2}, seconds=1.0, objects=5
    )
    for recording in simulate_release(tmp_path / "sim", settings).recordings:
        assert recording.events / recording.windows == pytest.approx(rate, rel=0.3)


def test_the_same_settings_give_the_same_bytes_with_any_number_of_processes(small, tmp_path):
    root, summary = small
    again = simulate_release(tmp_path / "again", SMALL, processes=2)
    assert digests(tmp_path / "again") == digests(root)
    assert again == summary


def test_another_seed_gives_other_recordings_and_more_recordings_keep_the_first(tmp_path):
    base = {"sensor": SENSOR, "rate": 1000, "seconds": 0.5, "objects": 3}
    for name, changes in {
        "one": {"recordings": {"train": 1}},
        "two": {"recordings": {"train": 2}},
        "other": {"recordings": {"train": 1}, "seed": 1},
    }.items():
        simulate_release(tmp_path / name, SimulationSettings(**base, **changes))
    one, two, other = (
        {d for p, d in digests(tmp_path / n).items() if p.endswith(".npz")}
        for n in ("one", "two", "other")
    )
    assert one < two
    assert not one & other


def test_a_scan_finds_nothing_wrong_but_boxes_that_leave_the_frame(small):
    root, summary = small
    manifest = scan_release(root)
    assert {d for r in manifest.recordings for d in r.defects} <= {"box-out-of-frame"}
    by_id = {r.id: r for r in summary.recordings}
    for row in manifest.recordings:
        assert row.sensor == SENSOR
        assert (row.windows, row.events) == (by_id[row.id].windows, by_id[row.id].events)
        assert sum(row.labels.values()) == by_id[row.id].boxes


def test_only_the_classes_asked_for_appear_in_every_nth_window(tmp_path):
    settings = SimulationSettings(
        sensor=SENSOR,
        rate=1000,
        recordings={"test": 1},
        seconds=1.0,
        classes=(2, 4),
        class_weights=(3, 1),
        objects=8,
        labelled_every=4,
    )
    simulate_release(tmp_path / "sim", settings)
    labelled = {}
    for _, number, k, _, labels in windows_of(tmp_path / "sim"):
        assert set(labels["class_id"].tolist()) <= {2, 4}
        labelled[number * 10 + k] = len(labels) > 0
    assert [k for k, has in labelled.items() if has] == [12, 16, 20, 24, 28]


def test_the_record_says_what_was_simulated(small):
    root, summary = small
    record = json.loads((root / "simulation.json").read_text())
    assert (record["format"], record["version"]) == ("simulated-release", 1)
    assert record["settings"]["seed"] == 12
    assert record["settings"]["sensor"] == list(SENSOR)
    assert record["defects"] == []
    for row, recording in zip(record["recordings"], summary.recordings, strict=True):
        assert (row["id"], row["events"]) == (recording.id, recording.events)
    assert read_release(root).sensors == {r.id: SENSOR for r in summary.recordings}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_simulation_that_stops_halfway_leaves_nothing(tmp_path, processes):
    def stop(windows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_release(tmp_path / "sim", SMALL, stop, processes)
    assert list(tmp_path.iterdir()) == []


def test_a_passing_fault_of_the_machine_is_tried_again(small, tmp_path, monkeypatch):
    monkeypatch.setattr(outcomes, "PAUSE", 0)
    faults = [OSError(errno.EIO, "Input/output error")]

    def fail_once(*arguments):
        if faults:
            raise faults.pop()
        write_shard(*arguments)

    monkeypatch.setattr(recordings, "write_shard", fail_once)
    simulate_release(tmp_path / "again", SMALL)
    assert not faults
    assert digests(tmp_path / "again") == digests(small[0])


def test_a_full_disk_is_said_in_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    attempts = []

    def fail(*arguments):
        attempts.append(arguments)
        raise OSError(errno.ENOSPC, "No space left on device", "ev001.npz")

    monkeypatch.setattr(recordings, "write_shard", fail)
    with pytest.raises(OSError, match="No space left on device"):
        simulate_release(tmp_path / "sim", SMALL)
    assert len(attempts) == 1  # another attempt would find no more room
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_the_systems_own_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        simulate_release(tmp_path / "file" / "sim", SMALL)


def test_progress_counts_every_window(tmp_path):
    counts = []
    settings = SimulationSettings(sensor=SENSOR, rate=500, recordings={"val": 2}, seconds=0.5)
    simulate_release(tmp_path / "sim", settings, counts.append)
    assert counts == [10, 10]


def test_a_folder_that_holds_something_is_refused_and_an_empty_one_taken(tmp_path):
    settings = SimulationSettings(
        sensor=SENSOR, rate=500, recordings={"val": 1}, seconds=0.5, objects=0
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep me")
    with pytest.raises(UsageError, match="not empty"):
        simulate_release(tmp_path / "full", settings)
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep me"
    (tmp_path / "empty").mkdir()
    simulate_release(tmp_path / "empty", settings)
    assert len(walk_release(tmp_path / "empty")) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seconds": 0.4}, "0.5 seconds"),
        ({"sensor": (8, 90)}, "16x16"),
        ({"sensor": (20_000, 90)}, "too large"),
        ({"recordings": {"train": 0}}, "at least one recording"),
        ({"recordings": {"dev": 1}}, "train, val, test"),
        ({"rate": 0}, "rate"),
        ({"classes": ()}, "classes"),
        ({"classes": (2, 7)}, "classes"),
        ({"classes": (2,), "class_weights": (1, 1)}, "weights"),
        ({"noise": 1.0}, "noise"),
        ({"frames_per_window": 7}, "divide"),
        ({"labelled_every": 0}, "labelled_every"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_that_make_no_release_are_refused_in_words(changes, words):
    with pytest.raises(SettingsError, match=words):
        SimulationSettings(**changes)


def test_without_stops_the_simulator_writes_what_it_always_has(small):
    # Counts of before there were stops; another processor may round an event away.
    expected = [(60259, 97), (60094, 88), (59782, 98), (59924, 76)]
    found = [(row.events, row.boxes) for row in small[1].recordings]
    np.testing.assert_allclose(found, expected, atol=2)
    thresholds = [0.2926088648412115, 0.2284811372292921, 0.16775525188570645, 0.28912596640709287]
    np.testing.assert_allclose([r.threshold for r in small[1].recordings], thresholds, rtol=1e-6)
