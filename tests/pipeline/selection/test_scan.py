import errno
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.defects import Defect
from pipeline.errors import DataError, UsageError
from pipeline.release import npz
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.sensors import write_sensor
from pipeline.release.shards import EVENT_DTYPE, shard_path, write_shard
from pipeline.selection import scan as scan_module
from pipeline.selection.listed_sizes import ListedSizes, unmatched
from pipeline.selection.manifest import write_manifest
from pipeline.selection.scan import MAX_PLACES, scan_release
from pipeline.tasks import outcomes
from pipeline.tasks.run import run_tasks
from tests.pipeline.releases import damage_member
from tests.pipeline.sound_recordings import boxes, window_events, write_recording

A = "train/trainfilelist00/a"


def good_windows(number=1):
    return [window_events(10 * number + k) for k in range(10)]


def good_boxes():
    return [boxes((100, 100, 80, 60, 2)) for _ in range(10)]


def scan_one(root, **kwargs):
    (row,) = scan_release(root, **kwargs).recordings
    return row


def test_a_sound_recording(tmp_path):
    write_recording(tmp_path, A, shards=3)
    row = scan_one(tmp_path)
    assert (row.id, row.split, row.sensor) == (A, "train", (1280, 720))
    assert (row.windows, row.events, row.gaps) == (30, 1200, 0)
    assert row.defects == {}
    assert row.labels == {name: 30 if name == "car" else 0 for name in CLASS_NAMES}
    first, last = window_events(10), window_events(39)
    assert row.time_us == (first["t"][0], last["t"][-1])
    assert [shard.number for shard in row.shards] == [1, 2, 3]


def test_the_golden_shard_agrees_with_a_plain_reading(golden):
    row = scan_one(golden / "shard")
    (shard,) = row.shards
    events, labels = (
        np.load(shard_path(golden / "shard", row.id, shard.number, kind))
        for kind in ("events", "labels")
    )
    assert row.events == sum(len(events[f"e{k}"]) for k in range(10))
    classes = np.concatenate([labels[f"l{k}"]["class_id"] for k in range(10)])
    assert list(row.labels.values()) == np.bincount(classes, minlength=7).tolist()
    with np.load(golden / "shard_getitem.npz") as arrays:
        kept = arrays["boxes"][..., 4]
    kept = kept[kept >= 0].astype(int)  # rows of -1 are padding
    assert list(row.kept.values()) == np.bincount(kept, minlength=7).tolist()


def test_labels_only_needs_no_event_file(tmp_path):
    write_recording(tmp_path, A)
    full = scan_one(tmp_path)
    on_disk = scan_one(tmp_path, labels_only=True)
    shutil.rmtree(tmp_path / "train/trainfilelist00/events")
    row = scan_one(tmp_path, labels_only=True)
    assert row.labels == full.labels
    assert row.windows == full.windows
    assert (row.events, row.time_us, row.digest, row.defects) == (None, None, None, {})
    assert [shard.event_bytes for shard in row.shards] == [None, None]
    assert on_disk.bytes == full.bytes


def test_sensor_size_comes_from_the_release_and_rules_the_labels(tmp_path):
    write_shard(
        tmp_path,
        A,
        1,
        [window_events(10 + k, sensor=(640, 480)) for k in range(10)],
        [boxes((600, 100, 80, 60, 2), (0, 0, 700, 60, 2)) for _ in range(10)],
    )
    write_sensor(tmp_path, A, (640, 480))
    row = scan_one(tmp_path)
    assert row.sensor == (640, 480)
    assert row.defects == {Defect.BOX_OUT_OF_FRAME: 10, Defect.BOX_TOO_WIDE: 10}
    assert row.kept["car"] == 10
    assert row.labels["car"] == 20


def changed(field, value):
    events = window_events(15)
    events[field] = value
    return events


@pytest.mark.parametrize(
    ("window", "defect"),
    [
        (np.empty(0, EVENT_DTYPE), Defect.EMPTY_WINDOW),
        (changed("p", 1), Defect.SINGLE_POLARITY),
        (changed("p", 0), Defect.SINGLE_POLARITY),
        (changed("p", 2), Defect.BAD_POLARITY),
        (changed("t", 15 * 50_000), Defect.SINGLE_TIMESTAMP),
        (changed("t", 15 * 50_000)[:2], Defect.SINGLE_TIMESTAMP),
        (window_events(15)[::-1], Defect.UNSORTED_TIME),
        (changed("t", [15 * 50_000] * 39 + [16 * 50_000]), Defect.LONG_WINDOW),
        (window_events(16), Defect.TIME_GAP),
    ],
)
def test_event_defects_are_named_where_they_are(tmp_path, window, defect):
    windows = good_windows()
    windows[5] = window
    write_shard(tmp_path, A, 1, windows, good_boxes())
    row = scan_one(tmp_path)
    # A window that is out of place makes the one after it not follow either.
    places = [(defect, 1, "e5")] + ([(defect, 1, "e6")] if defect is Defect.TIME_GAP else [])
    assert row.defects == {defect: len(places)}
    assert list(row.defect_places) == places


def test_events_outside_the_sensor_are_counted(tmp_path):
    windows = good_windows()
    windows[4]["x"][:3] = 1280
    windows[5]["y"] = 720
    write_shard(tmp_path, A, 1, windows, good_boxes())
    row = scan_one(tmp_path)
    assert row.defects == {Defect.EVENT_OUT_OF_FRAME: 43, Defect.EMPTY_WINDOW: 1}


def test_a_window_of_a_single_event_is_sound(tmp_path):
    write_recording(tmp_path, A, shards=1, count=1)
    assert scan_one(tmp_path).defects == {}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (boxes((-5, 100, 80, 60, 2)), {Defect.BOX_OUT_OF_FRAME: 1}),
        (boxes((0, 100, 1300, 60, 2)), {Defect.BOX_TOO_WIDE: 1}),
        (boxes((np.nan, 100, 80, 60, 2)), {Defect.BOX_NOT_FINITE: 1}),
        (boxes((100, 100, 80, 60, 7)), {Defect.WRONG_CLASS: 1}),
        (boxes(*[(100, 100, 80, 60, 2)] * 63), {Defect.OVER_60_BOXES: 3, Defect.DUPLICATE_BOX: 62}),
    ],
)
def test_label_defects_are_counted_by_box(tmp_path, labels, expected):
    windows = good_boxes()
    windows[3] = labels
    write_shard(tmp_path, A, 1, good_windows(), windows)
    row = scan_one(tmp_path)
    assert row.defects == expected
    assert {place[1:] for place in row.defect_places} == {(1, "l3")}


@pytest.mark.parametrize(("kind", "member"), [("events", "e4"), ("labels", "l4")])
def test_a_bad_crc_costs_one_window_and_is_no_gap(tmp_path, kind, member):
    write_recording(tmp_path, A)
    damage_member(shard_path(tmp_path, A, 1, kind), member)
    row = scan_one(tmp_path)
    assert row.defects == {Defect.BAD_CRC: 1}
    assert row.defect_places == ((Defect.BAD_CRC, 1, member),)
    assert row.windows == 20


@pytest.mark.parametrize(
    ("kind", "defect"),
    [("events", Defect.MISSING_EVENT_FILE), ("labels", Defect.MISSING_LABEL_FILE)],
)
def test_a_missing_file_is_one_defect(tmp_path, kind, defect):
    write_recording(tmp_path, A, shards=3)
    shard_path(tmp_path, A, 2, kind).unlink()
    row = scan_one(tmp_path)
    assert row.defects == {defect: 1}
    assert row.defect_places == ((defect, 2, None),)


@pytest.mark.parametrize("content", [b"", b"not a zip archive", None])
def test_a_file_that_is_not_npz_or_cut_short_does_not_stop_the_scan(tmp_path, content):
    write_recording(tmp_path, A, shards=3)
    path = shard_path(tmp_path, A, 2, "events")
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    row = scan_one(tmp_path)
    assert row.defects == {Defect.UNREADABLE_FILE: 1}
    assert row.shards[1].event_bytes == path.stat().st_size
    assert row.windows == 20


def test_missing_members_are_named(tmp_path):
    write_shard(tmp_path, A, 1, good_windows()[:8], good_boxes())
    row = scan_one(tmp_path)
    assert row.defects == {Defect.MISSING_MEMBER: 2}
    assert [place.member for place in row.defect_places] == ["e8", "e9"]
    assert row.windows == 8


def test_a_pickled_object_array_is_a_defect_and_is_not_loaded(tmp_path):
    write_recording(tmp_path, A, shards=1)
    path = shard_path(tmp_path, A, 1, "labels")
    np.savez_compressed(path, l0=np.array([{"a": 1}], object))
    assert scan_one(tmp_path).defects == {Defect.WRONG_DTYPE: 1, Defect.MISSING_MEMBER: 9}


def test_places_are_bounded_for_each_defect_and_counts_are_not(tmp_path):
    for number in (1, 2, 3):
        windows = good_windows(number)
        for events in windows:
            events["p"] = 1
        write_shard(tmp_path, A, number, windows, good_boxes())
    damage_member(shard_path(tmp_path, A, 3, "labels"), "l9")
    row = scan_one(tmp_path)
    assert row.defects[Defect.SINGLE_POLARITY] == 30
    listed = [place.defect for place in row.defect_places]
    assert listed.count(Defect.SINGLE_POLARITY) == MAX_PLACES
    assert listed.count(Defect.BAD_CRC) == 1


@settings(max_examples=15, deadline=None)
@given(jumps=st.lists(st.integers(0, 3), min_size=20, max_size=20))
def test_gaps_are_the_windows_that_do_not_follow_the_clock(tmp_path_factory, jumps):
    root = tmp_path_factory.mktemp("release")
    clock = 10 + np.cumsum([1 + jump for jump in jumps])
    for number in (1, 2):
        indices = clock[10 * number - 10 : 10 * number]
        write_shard(root, A, number, [window_events(i, 3) for i in indices], good_boxes())
    assert scan_one(root).gaps == sum(jump > 0 for jump in jumps[1:])
    shutil.rmtree(root)


def test_recordings_come_in_order_and_progress_counts_shards(tmp_path):
    names = ["test/testfilelist00/c", "train/trainfilelist01/b", "train/trainfilelist00/z"]
    for name in names:
        write_recording(tmp_path, name, shards=2, count=3)
    seen = []
    manifest = scan_release(tmp_path, workers=2, progress=lambda *state: seen.append(state))
    assert [row.id for row in manifest.recordings] == [names[2], names[1], names[0]]
    assert seen == [(k, 6) for k in range(1, 7)]


def test_digest_follows_the_bytes(tmp_path):
    write_recording(tmp_path, A)
    before = scan_one(tmp_path).digest
    assert scan_one(tmp_path, workers=2).digest == before
    write_shard(tmp_path, A, 2, good_windows(2), [boxes() for _ in range(10)])
    assert scan_one(tmp_path).digest != before


def test_a_folder_without_recordings_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="holds no recording"):
        scan_release(tmp_path)


@pytest.fixture
def damaged_release(tmp_path):
    names = ["test/testfilelist00/c", "train/trainfilelist01/b", "train/trainfilelist00/z"]
    for name in names:
        write_recording(tmp_path, name, shards=2, count=3)
    damage_member(shard_path(tmp_path, names[0], 1, "events"), "e3")
    shard_path(tmp_path, names[1], 2, "labels").unlink()
    return tmp_path


@pytest.mark.parametrize("labels_only", [False, True])
def test_processes_give_the_manifest_of_one(damaged_release, monkeypatch, labels_only):
    monkeypatch.setattr(scan_module, "_WORTH_A_PROCESS", 1)
    seen = []
    manifests = [
        scan_release(
            damaged_release,
            labels_only=labels_only,
            workers=workers,
            progress=lambda *state: seen.append(state),
        )
        for workers in (1, 2, 5)
    ]
    paths = [damaged_release / f"{number}.json" for number in range(3)]
    for manifest, path in zip(manifests, paths, strict=True):
        write_manifest(manifest, path)
    assert len({path.read_bytes() for path in paths}) == 1
    assert seen == 3 * [(k, 6) for k in range(1, 7)]


def test_a_small_release_is_scanned_without_starting_processes(damaged_release, monkeypatch):
    used = []

    def note(*arguments, workers, **options):
        used.append(workers)
        return run_tasks(*arguments, workers=workers, **options)

    monkeypatch.setattr(scan_module, "run_tasks", note)
    scan_release(damaged_release, workers=8)
    sizes = [path.stat().st_size for path in damaged_release.rglob("*.npz")]
    size = sum(sizes) + len(sizes) * scan_module._FILE
    monkeypatch.setattr(scan_module, "_WORTH_A_PROCESS", size // 2)
    scan_release(damaged_release, workers=8)
    assert used == [1, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_does_not_wait_for_the_release(damaged_release, monkeypatch, workers):
    monkeypatch.setattr(scan_module, "_WORTH_A_PROCESS", 1)
    seen = []

    def interrupt(done, total):
        seen.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_release(damaged_release, workers=workers, progress=interrupt)
    assert seen == [1]


def failing_reads(monkeypatch, faults):
    """The first reads of an event file fail, as many as there are faults."""
    real = npz.open_regular

    def open_or_fail(path):
        if faults and path.name.startswith("ev"):
            raise faults.pop()
        return real(path)

    monkeypatch.setattr(outcomes, "PAUSE", 0)
    monkeypatch.setattr(npz, "open_regular", open_or_fail)


def test_a_passing_fault_of_the_machine_is_tried_again(damaged_release, monkeypatch):
    before = scan_release(damaged_release)
    faults = [OSError(errno.EIO, "Input/output error")]
    failing_reads(monkeypatch, faults)
    assert scan_release(damaged_release) == before
    assert not faults


def test_a_file_that_the_machine_cannot_read_ends_the_scan_and_is_no_damage(
    damaged_release, monkeypatch
):
    failing_reads(
        monkeypatch, [PermissionError(errno.EACCES, "Permission denied", "ev001.npz")] * 3
    )
    with pytest.raises(DataError, match=r"^ev001\.npz: Permission denied, tried 3 times"):
        scan_release(damaged_release)


def test_a_file_that_goes_between_listing_and_reading_ends_the_scan(damaged_release, monkeypatch):
    monkeypatch.setattr(outcomes, "PAUSE", 0)
    path = damaged_release / "train/trainfilelist00/events/z/ev002.npz"
    path.unlink()
    path.symlink_to("a disk that is not there")
    with pytest.raises(DataError, match="No such file"):
        scan_release(damaged_release)


def test_a_pipe_in_the_place_of_a_shard_ends_the_scan_and_is_not_waited_for(damaged_release):
    path = damaged_release / "train/trainfilelist00/labels/z/lb002.npz"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=f"^{path}: is a folder, a pipe or a device"):
        scan_release(damaged_release)


def test_a_file_beyond_the_bound_is_named_and_not_read(tmp_path):
    write_recording(tmp_path, A)
    path = shard_path(tmp_path, A, 1, "events")
    os.truncate(path, 1 << 40)  # a terabyte of nothing
    row = scan_one(tmp_path)
    assert row.defects == {Defect.TOO_LARGE: 1}
    assert (row.shards[0].event_bytes, row.shards[0].event_sha256) == (1 << 40, None)


def test_boxes_of_another_time_are_counted_and_not_kept(tmp_path):
    labels = good_boxes()
    labels[3] = boxes(*[(100, 100, 80, 60, 2)] * 5)
    labels[3]["t"] = 650_000, 700_000, 700_001, 649_999, 0  # the window is 650 000…700 000
    write_shard(tmp_path, A, 1, good_windows(), labels)
    row = scan_one(tmp_path)
    assert row.defects == {Defect.BOX_OUT_OF_TIME: 2, Defect.DUPLICATE_BOX: 2}
    assert (row.labels["car"], row.kept["car"]) == (14, 12)
    row = scan_one(tmp_path, labels_only=True)  # without events a window has no time
    assert (row.defects, row.kept["car"]) == ({Defect.DUPLICATE_BOX: 4}, 14)


def with_times(index, count=2):
    """Boxes of window ``index`` of the clock."""
    labels = boxes(*[(100, 100, 80, 60, 2 + k) for k in range(count)])
    labels["t"] = index * 50_000 + 100 + np.arange(count)
    return labels


@settings(max_examples=15, deadline=None)
@given(jumps=st.lists(st.integers(0, 3), min_size=20, max_size=20))
def test_boxes_alone_show_the_gaps_and_times_that_events_show(tmp_path_factory, jumps):
    root = tmp_path_factory.mktemp("release")
    clock = 10 + np.cumsum([1 + jump for jump in jumps])
    for number in (1, 2):
        indices = clock[10 * number - 10 : 10 * number]
        labels = [with_times(int(i)) for i in indices]
        write_shard(root, A, number, [window_events(i, 3) for i in indices], labels)
    full, row = scan_one(root), scan_one(root, labels_only=True)
    assert row.gaps == full.gaps
    assert [place.member[1] for place in row.defect_places] == [
        place.member[1] for place in full.defect_places
    ]
    assert row.time_us == (clock[0] * 50_000 + 100, clock[-1] * 50_000 + 101)
    shutil.rmtree(root)


def test_windows_without_boxes_say_nothing_of_their_time(tmp_path):
    labels = [boxes() for _ in range(10)]
    labels[2], labels[7] = with_times(12), with_times(20)  # three windows later than it could be
    write_shard(tmp_path, A, 1, good_windows(), labels)
    row = scan_one(tmp_path, labels_only=True)
    assert row.defect_places == ((Defect.TIME_GAP, 1, "l7"),)
    assert row.time_us == (12 * 50_000 + 100, 20 * 50_000 + 101)


def test_a_listing_fills_in_what_is_not_on_disk(tmp_path):
    write_recording(tmp_path, A, shards=3)
    on_disk = shard_path(tmp_path, A, 1, "events").stat().st_size
    for number in (2, 3):
        shard_path(tmp_path, A, number, "events").unlink()
    sizes = ListedSizes({A: {1: 7, 2: 9_000_000}, "val/valfilelist00/b": {1: 5}})
    manifest = scan_release(tmp_path, labels_only=True, sizes=sizes)
    (row,) = manifest.recordings
    assert [shard.event_bytes for shard in row.shards] == [on_disk, 9_000_000, None]
    assert row.bytes == sum((s.event_bytes or 0) + s.label_bytes for s in row.shards)
    assert [sentence.split()[0] for sentence in unmatched(sizes, manifest)] == ["1", "1"]
    with pytest.raises(UsageError, match="--labels-only"):
        scan_release(tmp_path, sizes=sizes)
