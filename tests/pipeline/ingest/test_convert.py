import hashlib
import os

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RecordingError, UsageError
from pipeline.ingest import dat
from pipeline.ingest.boxes import boxes_of_window
from pipeline.ingest.convert import ingest_recording
from pipeline.ingest.raw_recording import open_raw
from pipeline.ingest.summary import box_path, recording_name
from pipeline.ingest.windows import split_windows
from pipeline.release.members import as_labels, read_events, read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.sensors import read_sensors
from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE, WINDOW_US, walk_release
from pipeline.selection.scan import scan_release
from tests.pipeline.raw_files import BOX_DTYPE, HEADER, write_dat, write_hdf5


def events_at(times, seed=0, sensor=(64, 48)):
    rng = np.random.default_rng(seed)
    events = np.empty(len(times), EVENT_DTYPE)
    events["t"] = np.sort(times)
    events["x"] = rng.integers(0, sensor[0], len(times))
    events["y"] = rng.integers(0, sensor[1], len(times))
    events["p"] = rng.integers(0, 2, len(times))
    return events


def steady(seconds=1.3, step=7000):
    return events_at(np.arange(0, seconds * 1e6, step, dtype=np.int64))


def read_back(root):
    """Shard number → ten event arrays and ten label arrays."""
    (recording,) = walk_release(root)
    shards = {}
    for shard in recording.shards:
        events, labels = NpzFile(shard.events), NpzFile(shard.labels)
        assert events.names() == [f"e{k}" for k in range(10)]
        shards[shard.number] = (
            [read_events(events, k) for k in range(10)],
            [read_labels(labels, k) for k in range(10)],
        )
    return shards


def expected_shards(events, skip_us):
    """The rules, spelled out event by event."""
    windows = {}
    first = int(events["t"][0]) // 50_000
    for event in events.tolist():
        index = event[0] // 50_000
        if (index - first) * 50_000 >= skip_us:
            windows.setdefault(index, []).append(event)
    filled = sorted(windows.items())
    shards = {}
    for start in range(0, len(filled) - 9, 10):
        group = filled[start : start + 10]
        shards[(group[0][0] - first) // 10] = [content for _, content in group]
    return shards


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.sampled_from([0, 1, 900, 20_000, 49_999, 50_000, 180_000]), min_size=15, max_size=80
    ),
    start=st.sampled_from([0, 3, 400_000, 4_290_000_000]),
    skip_us=st.sampled_from([0, 100_000, 510_000]),
    block=st.sampled_from([1, 3, 1 << 20]),
    container=st.sampled_from([write_dat, write_hdf5]),
    seed=st.integers(0, 1000),
)
def test_shards_hold_exactly_the_events_the_rules_give(
    tmp_path_factory, steps, start, skip_us, block, container, seed
):
    folder = tmp_path_factory.mktemp("ingest")
    times = start + np.cumsum(np.array([0, *steps], np.int64))
    events = events_at(times[times < 1 << 32], seed)
    raw = folder / "drive_td.dat"
    container(raw, events)
    expected = expected_shards(events, skip_us)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dat, "BLOCK_EVENTS", block)
        if not expected:
            with pytest.raises(RecordingError, match="a shard needs 10"):
                ingest_recording(raw, folder / "out", "train", skip_us=skip_us)
            assert not (folder / "out").exists()
            return
        summary = ingest_recording(raw, folder / "out", "train", skip_us=skip_us)
    found = read_back(folder / "out")
    assert {n: [w.tolist() for w in events] for n, (events, _) in found.items()} == expected
    assert summary.shards == len(expected)
    assert summary.events == sum(len(w) for windows in expected.values() for w in windows)
    # A reader of the release finds a gap wherever the clock had a window without events.
    scanned = scan_release(folder / "out")
    assert (scanned.recordings[0].gaps > 0) == (summary.empty_windows > 0)


def test_with_the_usual_skip_the_first_shard_is_number_one(tmp_path):
    write_dat(tmp_path / "drive_td.dat", steady(2.1))
    summary = ingest_recording(tmp_path / "drive_td.dat", tmp_path / "out", "val")
    shards = read_back(tmp_path / "out")
    assert list(shards) == [1, 2, 3]
    assert shards[1][0][0]["t"][0] // WINDOW_US == 10
    assert summary.recording_id == "val/valfilelist00/drive"
    assert (summary.windows, summary.left_over, summary.empty_windows) == (30, 2, 0)


@pytest.mark.parametrize("start", [0, 49_999, 11_200_000, 4_290_000_000])
def test_what_is_left_out_counts_from_the_first_event_wherever_the_clock_starts(tmp_path, start):
    times = np.arange(0, 2_100_000, 7000)
    names = []
    for name, shift in (("zero", 0), ("late", start // WINDOW_US * WINDOW_US)):
        write_dat(tmp_path / f"{name}_td.dat", events_at(times + shift))
        ingest_recording(tmp_path / f"{name}_td.dat", tmp_path / name, "train")
        names.append(read_back(tmp_path / name))
    zero, late = names
    assert list(zero) == list(late) == [1, 2, 3]
    for number, (windows, _) in zero.items():
        for ours, theirs in zip(windows, late[number][0], strict=True):
            shifted = theirs.copy()
            shifted["t"] -= shift
            np.testing.assert_array_equal(ours, shifted)


def test_a_first_event_late_in_its_window_does_not_move_the_borders(tmp_path):
    write_dat(tmp_path / "a_td.dat", events_at(np.arange(49_999, 1_500_000, 7000)))
    ingest_recording(tmp_path / "a_td.dat", tmp_path / "out", "train")
    (windows, _) = read_back(tmp_path / "out")[1]
    assert [int(w["t"][0]) // WINDOW_US for w in windows] == list(range(10, 20))


def test_a_window_without_events_is_left_out_and_the_number_follows_the_clock(tmp_path):
    times = np.concatenate([np.arange(0, 600_000, 9000), np.arange(800_000, 2_500_000, 9000)])
    write_dat(tmp_path / "a.dat", events_at(times))
    summary = ingest_recording(tmp_path / "a.dat", tmp_path / "out", "train")
    shards = read_back(tmp_path / "out")
    clock = [[int(w["t"][0]) // WINDOW_US for w in windows] for windows, _ in shards.values()]
    assert clock == [[10, 11, *range(16, 24)], list(range(24, 34)), list(range(34, 44))]
    assert list(shards) == [1, 2, 3]
    assert summary.empty_windows == 4
    assert "4 windows without events left out." in summary.lines()


def test_two_recordings_go_into_one_release(tmp_path):
    write_dat(tmp_path / "a_td.dat", steady())
    write_hdf5(tmp_path / "b_td.dat.h5", steady(), size=(80, 60))
    ingest_recording(tmp_path / "a_td.dat", tmp_path / "out", "train")
    ingest_recording(tmp_path / "b_td.dat.h5", tmp_path / "out", "test", filelist="testfilelist02")
    assert read_sensors(tmp_path / "out") == {
        "train/trainfilelist00/a": (64, 48),
        "test/testfilelist02/b": (80, 60),
    }
    manifest = scan_release(tmp_path / "out")
    assert [row.sensor for row in manifest.recordings] == [(64, 48), (80, 60)]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"train", "test", "release.json"}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("moorea_2019_td_61500000_td.dat", "moorea_2019_td_61500000"),
        ("a_td.dat.h5", "a"),
        ("a.dat", "a"),
        ("a.h5", "a"),
        ("a.b_td.DAT", "a.b"),
        ("night.drive", "night.drive"),
    ],
)
def test_the_name_loses_only_its_endings(tmp_path, file, name):
    assert recording_name(tmp_path / file) == name
    assert box_path(tmp_path / file) == tmp_path / f"{name}_bbox.npy"


def a_box(t, track, x=5.0, class_id=2):
    return (t, x, 6.0, 7.0, 8.0, class_id, track, 0.5)


def test_each_window_gets_the_first_box_of_each_track(tmp_path):
    boxes = np.array(
        [
            a_box(499_999, 1, x=1),
            a_box(500_000, 1, x=2),
            a_box(520_000, 2, x=3),
            a_box(549_999, 1, x=4),
            a_box(550_000, 1, x=5),
            a_box(5_000_000, 1, x=6),
        ],
        BOX_DTYPE,
    )
    write_dat(tmp_path / "a_td.dat", steady())
    np.save(tmp_path / "a_bbox.npy", boxes)
    summary = ingest_recording(tmp_path / "a_td.dat", tmp_path / "out", "train")
    _, labels = read_back(tmp_path / "out")[1]
    assert [window["x"].tolist() for window in labels[:3]] == [[2, 3], [5], []]
    assert labels[0]["track_id"].tolist() == [1, 2]
    assert labels[0]["class_confidence"].tolist() == [0.5, 0.5]
    assert labels[0]["t"].tolist() == [500_000, 520_000]
    assert all(window.dtype == LABEL_DTYPE for window in labels)
    assert summary.boxes == 3
    assert "3 boxes from a_bbox.npy." in summary.lines()


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 3)), max_size=30),
    index=st.integers(0, 8),
)
def test_first_box_of_each_track_against_a_plain_search(rows, index):
    rows.sort(key=lambda row: row[0])
    boxes = as_labels(
        np.array([a_box(t, track, x=k) for k, (t, track) in enumerate(rows)], BOX_DTYPE), "boxes"
    )
    seen, expected = set(), []
    for k, (t, track) in enumerate(rows):
        if t // WINDOW_US == index and track not in seen:
            seen.add(track)
            expected.append(k)
    assert boxes_of_window(boxes, index)["x"].tolist() == expected


def test_without_a_box_file_labels_are_empty_and_the_summary_says_so(tmp_path):
    write_dat(tmp_path / "a_td.dat", steady())
    summary = ingest_recording(tmp_path / "a_td.dat", tmp_path / "out", "train")
    _, labels = read_back(tmp_path / "out")[1]
    assert all(len(window) == 0 and window.dtype == LABEL_DTYPE for window in labels)
    assert any("has no box file (a_bbox.npy" in line for line in summary.lines())


def test_events_outside_the_sensor_are_kept_and_counted(tmp_path):
    events = steady()
    in_window_15 = events["t"] // WINDOW_US == 15
    events["x"][in_window_15] = 64
    write_dat(tmp_path / "a_td.dat", events)
    summary = ingest_recording(tmp_path / "a_td.dat", tmp_path / "out", "train")
    assert summary.outside == in_window_15.sum() > 0
    assert any("outside the sensor" in line for line in summary.lines())


def test_progress_counts_the_events_of_windows(tmp_path):
    write_dat(tmp_path / "a_td.dat", steady(1.3))
    seen = []
    ingest_recording(tmp_path / "a_td.dat", tmp_path / "out", "train", progress=seen.append)
    assert sum(seen) == sum(steady(1.3)["t"] >= 500_000)


# --- what is wrong is one sentence, and nothing is left behind ----------------------------------


def refuses(tmp_path, raw, error, says):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=says) as caught:
        ingest_recording(raw, tmp_path / "out", "train")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("header", "kind", "says"),
    [
        ("", b"\x0c\x08", "is no recording that can be read .*; give DAT, RAW"),
        ("% Version 2\n", b"\x0c\x08", "does not state the sensor size"),
        ("% Width 64\n% Height 0\n", b"\x0c\x08", "does not state the sensor size"),
        ("% Width 64\n% Height many\n", b"\x0c\x08", "does not state the sensor size"),
        (HEADER, b"\x0c\x10", "12 and 16 where the event type"),
        (HEADER, b"\x0e\x08", "14 and 8 where the event type"),
    ],
)
def test_a_wrong_dat_header(tmp_path, header, kind, says):
    write_dat(tmp_path / "a_td.dat", steady(), header, kind)
    refuses(tmp_path, tmp_path / "a_td.dat", RecordingError, says)


def test_a_truncated_dat_file(tmp_path):
    write_dat(tmp_path / "a_td.dat", steady())
    os.truncate(tmp_path / "a_td.dat", os.path.getsize(tmp_path / "a_td.dat") - 3)
    refuses(tmp_path, tmp_path / "a_td.dat", RecordingError, "truncated, it ends 5 bytes into")


@pytest.mark.parametrize(
    "content", [b"", b"%", HEADER.encode(), os.urandom(500) + b"\n", b"\x89HDF"]
)
def test_other_files_are_not_recordings(tmp_path, content):
    (tmp_path / "a_td.dat").write_bytes(content)
    refuses(tmp_path, tmp_path / "a_td.dat", RecordingError, r"a_td\.dat: ")


@pytest.mark.parametrize("block", [4, 1 << 20])
@pytest.mark.parametrize("where", [100, 120])
def test_decreasing_time_names_the_event(tmp_path, monkeypatch, block, where):
    monkeypatch.setattr(dat, "BLOCK_EVENTS", block)
    events = steady()
    events["t"][where:] -= 20_000
    write_dat(tmp_path / "a_td.dat", events)
    refuses(tmp_path, tmp_path / "a_td.dat", RecordingError, f"time decreases at event {where} ")


def test_a_recording_too_short_for_a_shard(tmp_path):
    write_dat(tmp_path / "a_td.dat", steady(0.9))
    refuses(tmp_path, tmp_path / "a_td.dat", RecordingError, "holds 8 windows")
    write_dat(tmp_path / "a_td.dat", steady(0))
    refuses(tmp_path, tmp_path / "a_td.dat", RecordingError, "holds 0 windows")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": None}, "does not state the sensor size"),
        ({"size": (0, 48)}, "does not state the sensor size"),
        ({"t": None}, "events/t is missing"),
        ({"t": np.zeros((2, 2), int)}, "events/t is missing or is not"),
        ({"x": np.zeros(len(steady()))}, "events/x is missing or is not"),
        ({"x": np.zeros(3, int)}, "differ in length"),
        ({"p": np.full(len(steady()), 2)}, r"events/p leaves the range 0…1"),
        ({"p": np.full(len(steady()), -1)}, r"events/p leaves the range 0…1"),
        ({"t": np.full(len(steady()), 1 << 63, np.uint64)}, "events/t leaves the range"),
    ],
)
def test_a_wrong_hdf5_file(tmp_path, change, says):
    write_hdf5(tmp_path / "a_td.dat.h5", steady(), **change)
    refuses(tmp_path, tmp_path / "a_td.dat.h5", RecordingError, says)


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.95])
def test_a_truncated_hdf5_file(tmp_path, keep):
    path = tmp_path / "a_td.dat.h5"
    write_hdf5(path, steady())
    os.truncate(path, int(keep * os.path.getsize(path)))
    refuses(tmp_path, path, RecordingError, "cannot be read")


def test_damaged_hdf5_data(tmp_path):
    path = tmp_path / "a_td.dat.h5"
    write_hdf5(path, events_at(np.arange(0, 1_300_000, 20)))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 5000] = os.urandom(5000)
    path.write_bytes(data)
    with pytest.raises(RecordingError):
        ingest_recording(path, tmp_path / "out", "train")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        (np.array([{"a": 1}], object), "not a box file"),
        (np.zeros(3, [("ts", "u8"), ("x", "f4")]), "missing: "),
        (None, "not a box file"),
    ],
)
def test_a_wrong_box_file(tmp_path, boxes, says):
    write_dat(tmp_path / "a_td.dat", steady())
    if boxes is None:
        (tmp_path / "a_bbox.npy").write_bytes(b"something else")
    else:
        np.save(tmp_path / "a_bbox.npy", boxes, allow_pickle=True)
    refuses(tmp_path, tmp_path / "a_td.dat", RecordingError, f"a_bbox.*{says}")


def test_wrong_requests(tmp_path):
    raw = tmp_path / "a_td.dat"
    refuses(tmp_path, raw, UsageError, "no such file")
    write_dat(raw, steady())
    with pytest.raises(UsageError, match="'all' is not a split"):
        ingest_recording(raw, tmp_path / "out", "all")
    with pytest.raises(UsageError, match="cannot skip -1"):
        ingest_recording(raw, tmp_path / "out", "train", skip_us=-1)
    write_dat(tmp_path / "_td.dat", steady())
    refuses(tmp_path, tmp_path / "_td.dat", UsageError, "rename it")


def test_a_recording_that_is_there_already_is_not_touched(tmp_path):
    raw = tmp_path / "a_td.dat"
    write_dat(raw, steady())
    ingest_recording(raw, tmp_path / "out", "train")
    write_dat(raw, steady(2.5))
    refuses(tmp_path, raw, UsageError, "there already")
    assert list(read_back(tmp_path / "out")) == [1]


def test_a_folder_that_cannot_be_written_is_the_systems_own_error(tmp_path):
    write_dat(tmp_path / "a_td.dat", steady())
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OSError, match="out"):
        ingest_recording(tmp_path / "a_td.dat", tmp_path / "out", "train")
    assert (tmp_path / "out").read_text() == "a file"


def test_an_interrupted_ingest_leaves_nothing(tmp_path):
    write_dat(tmp_path / "a_td.dat", steady(3))

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest_recording(tmp_path / "a_td.dat", tmp_path / "out", "train", progress=stop)
    assert not (tmp_path / "out").exists()


def test_windows_do_not_hold_whole_blocks(tmp_path):
    blocks = [steady(1.0, step=10)]
    for window in split_windows(blocks, 0, "here"):
        assert window.events.base is None


def test_a_window_of_more_events_than_a_shard_may_hold_ends_the_reading():
    block = np.zeros(1 << 20, EVENT_DTYPE)
    with pytest.raises(RecordingError, match="here: the 50 ms from 0 µs have more than"):
        list(split_windows([block] * 1000, 0, "here"))


@pytest.mark.parametrize("name", [os.fsdecode(b"latin\xe9"), "zarr.json"])
def test_a_name_that_nothing_could_store_is_refused(tmp_path, name):
    raw = tmp_path / f"{name}_td.dat"
    write_dat(raw, steady())
    refuses(tmp_path, raw, UsageError, "rename it")


@pytest.mark.parametrize("name", ["-rf", "a b", "ü€", "two\nlines"])
def test_an_odd_name_that_can_be_stored_is_kept(tmp_path, name):
    write_dat(tmp_path / f"{name}_td.dat", steady())
    summary = ingest_recording(tmp_path / f"{name}_td.dat", tmp_path / "out", "train")
    assert summary.recording_id == f"train/trainfilelist00/{name}"
    assert scan_release(tmp_path / "out").recordings[0].id == summary.recording_id


@pytest.mark.parametrize("place", ["a_td.dat", "a_bbox.npy"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path, place):
    write_dat(tmp_path / "a_td.dat", steady())
    (tmp_path / place).unlink(missing_ok=True)
    os.mkfifo(tmp_path / place)
    refuses(tmp_path, tmp_path / "a_td.dat", UsageError, "is a pipe")


def test_a_box_file_that_is_a_link_to_nowhere_is_not_taken_for_none(tmp_path):
    write_dat(tmp_path / "a_td.dat", steady())
    (tmp_path / "a_bbox.npy").symlink_to("a disk that is not there")
    with pytest.raises(FileNotFoundError):
        ingest_recording(tmp_path / "a_td.dat", tmp_path / "out", "train")


@pytest.fixture
def other_file(tmp_path):
    """A pipe: whoever opens it waits for ever."""
    os.mkfifo(tmp_path / "other.h5")
    return tmp_path / "other.h5"


@pytest.mark.parametrize(
    "way", ["external link", "folder", "soft link", "virtual", "external", "chunk"]
)
def test_hdf5_data_that_is_elsewhere_or_too_large_is_refused(tmp_path, other_file, way):
    path = tmp_path / "a_td.dat.h5"
    write_hdf5(path, steady())
    with h5py.File(path, "a") as file:
        name = "events" if way == "folder" else "events/x"
        file.move(name, "before")
        if way in ("external link", "folder"):
            file[name] = h5py.ExternalLink(other_file, name)
        elif way == "soft link":
            file[name] = h5py.SoftLink("/before")
        elif way == "virtual":
            layout = h5py.VirtualLayout(shape=(186,), dtype="u2")
            layout[:] = h5py.VirtualSource(other_file, "x", shape=(186,))
            file.create_virtual_dataset(name, layout)
        elif way == "external":
            file.create_dataset(name, (186,), "u2", external=[(other_file, 0, 372)])
        else:
            file.create_dataset(name, (186,), "u2", chunks=(1 << 31,), maxshape=(None,))
    refuses(tmp_path, path, RecordingError, "holds its own|smaller ones")


def test_hdf5_that_claims_more_events_than_it_has_ends_soon(tmp_path):
    path = tmp_path / "a_td.dat.h5"
    with h5py.File(path, "w") as file:
        for name in "xytp":
            file.create_dataset(f"events/{name}", (10**15,), "u2", chunks=(1 << 16,))
        file["events/width"], file["events/height"] = 64, 48
    refuses(tmp_path, path, RecordingError, "events/t claims 1000000000000000 values")


# --- real recordings ----------------------------------------------------------------------------


def test_real_recordings_become_shards(tmp_path, real_recordings):
    facts = {
        "person_walking": ((640, 480), 343_474, [1, 2, 3]),
        "sensor_noise": ((1280, 720), 82_469, [1]),
    }
    for path in real_recordings:
        raw = open_raw(path)
        if recording_name(path) not in facts:
            continue
        sensor, count, numbers = facts[recording_name(path)]
        assert (raw.sensor, sum(map(len, raw.blocks()))) == (sensor, count)
        out = tmp_path / recording_name(path)
        summary = ingest_recording(path, out, "test")
        shards = read_back(out)
        assert list(shards) == numbers
        # Independently of the reader: the events' bytes, by the format's bit fields.
        data = path.read_bytes()
        words = np.frombuffer(data[len(data) - 8 * count :], "<u4").reshape(-1, 2)
        t, v = words[:, 0].astype(np.int64), words[:, 1]
        inside = (t >= 500_000) & (t < 500_000 * (len(numbers) + 1))
        written = np.concatenate([w for windows, _ in shards.values() for w in windows])
        expected = np.stack([t, v & 0x3FFF, v >> 14 & 0x3FFF, v >> 28 & 1], axis=1)[inside]
        assert np.array_equal(np.stack([written[n].astype(np.int64) for n in "txyp"], 1), expected)
        assert summary.boxes is None
        row = scan_release(out).recordings[0]
        assert (row.sensor, row.gaps, row.defects) == (sensor, 0, {})


def test_real_recordings_are_the_same_from_dat_and_hdf5(tmp_path, real_recordings):
    raw = real_recordings[0]
    events = np.concatenate(list(open_raw(raw).blocks()))
    name = recording_name(raw)
    write_hdf5(tmp_path / f"{name}_td.dat.h5", events, open_raw(raw).sensor)
    digests = []
    for source, out in ((raw, tmp_path / "a"), (tmp_path / f"{name}_td.dat.h5", tmp_path / "b")):
        ingest_recording(source, out, "test")
        windows = [w for shard, _ in read_back(out).values() for w in shard]
        digests.append(hashlib.sha256(np.concatenate(windows).tobytes()).hexdigest())
    assert digests[0] == digests[1]
