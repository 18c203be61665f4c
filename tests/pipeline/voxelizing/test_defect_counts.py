"""A scan and a cache tell the same of the same damaged recording, defect by defect."""

import shutil
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cache.settings import CacheSettings
from pipeline.defects import BOX_FAULTS, FATAL, Defect
from pipeline.release.sensors import write_sensor
from pipeline.release.shards import (
    EVENT_DTYPE,
    LABEL_DTYPE,
    WINDOW_US,
    WINDOWS_PER_SHARD,
    shard_path,
    walk_release,
)
from pipeline.selection.scan import scan_release
from pipeline.voxelizing.policy import CorruptPolicy
from pipeline.voxelizing.run import voxelize
from tests.pipeline.releases import damage_member

RECORDING = "train/trainfilelist00/rec"
SENSOR = (32, 24)
SETTINGS = {
    "release": CacheSettings(grid=(16, 16), drop=BOX_FAULTS),
    "paper": CacheSettings(preset="paper", grid=(16, 16), drop=BOX_FAULTS),
}


def sound_events(slot):
    """Six events of both polarities, the second and the last outside the sensor."""
    x = np.array([1, 40, 3, 5, 7, 2])
    y = np.array([1, 2, 3, 5, 7, 24])
    t = slot * WINDOW_US + np.array([10, 20, 30, 30, 40, 49_000])
    p = np.array([0, 1, 1, 0, 1, 0])
    return np.rec.fromarrays([t, x, y, p], dtype=EVENT_DTYPE).view(np.ndarray).astype(EVENT_DTYPE)


def sound_boxes(slot):
    boxes = np.zeros(2, LABEL_DTYPE)
    boxes["t"] = slot * WINDOW_US + 5
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 2, 3, 8, 9
    boxes["class_id"] = 1, 6
    boxes["track_id"] = 1, 2
    return boxes


def with_field(field, value):
    def edit(window):
        window[field] = value
        return window

    return edit


def with_last_first(window):
    """Not in order of time, with a first event that belongs to another window."""
    return np.concatenate([window[-1:], window[:-1]])


def with_stray(window):
    """An event outside the sensor, of an earlier window."""
    stray = window[:1].copy()
    stray["x"], stray["t"] = SENSOR[0], max(0, int(stray["t"][0]) - WINDOW_US)
    return np.concatenate([stray, window])


def extended(count):
    return lambda boxes: np.concatenate([boxes, np.repeat(boxes[:1], count)])


EVENT_EDITS = {
    "sound": lambda w: w,
    "empty": lambda w: w[:0],
    "one event": lambda w: w[:1],
    "one event inside": lambda w: w[:2],
    "two events": lambda w: w[[0, 2]],
    "outside the sensor": with_field("x", SENSOR[0]),
    "below the sensor": with_field("y", 60_000),
    "one polarity": with_field("p", 1),
    "one other polarity": with_field("p", 0),
    "one polarity inside": lambda w: w[[1, 0, 3]],
    "one time": lambda w: with_field("t", w["t"][0])(w),
    "one time inside": lambda w: w[[1, 2, 3, 5]],
    "one time inside, unsorted": lambda w: w[[5, 2, 3, 1]],
    "unsorted": lambda w: w[::-1].copy(),
    "unsorted, last first": with_last_first,
    "unsorted, outside the sensor": lambda w: with_field("x", 99)(w[::-1].copy()),
    "stray event": with_stray,
    "polarity 2": with_field("p", 2),
    "polarity -1": lambda w: with_field("p", -1)(w.astype([(n, "<i8") for n in "txyp"])),
    "wide integers": lambda w: w.astype([(n, "<i8") for n in "txyp"]),
    "columns": lambda w: np.stack([w[n].astype(np.int64) for n in "txyp"], axis=1),
    "negative column": lambda w: -np.stack([w[n].astype(np.int64) for n in "txyp"], axis=1),
    "floats": lambda w: w["t"] * 0.5,
    "text": lambda w: np.array(["none"]),
    "text fields": lambda w: w.astype([(n, "U8") for n in "txyp"]),
    "rows of vectors": lambda w: np.zeros(3, [(n, "<i4", (2,)) for n in "txyp"]),
    "scalar": lambda w: np.array(7),
    "objects": lambda w: np.array([{"t": 1}], object),
    "too long": lambda w: with_field("t", w["t"] + np.array([0, 0, 0, 0, WINDOW_US, WINDOW_US]))(w),
    "missing": None,
    "twice": "twice",
    "bad crc": "crc",
}
BOX_EDITS = {
    "sound": lambda b: b,
    "none": lambda b: b[:0],
    "none, as floats": lambda b: np.empty(0),
    "time zero": with_field("t", 0),
    "late": lambda b: with_field("t", b["t"] + 4 * WINDOW_US)(b),
    "far too late": with_field("t", 2**64 - 1),
    "out of frame": with_field("x", -3),
    "too wide": with_field("w", 33),
    "too wide and out of frame": lambda b: with_field("x", -9)(with_field("w", 50)(b)),
    "not finite": with_field("h", np.nan),
    "infinite": with_field("w", np.inf),
    "no whole class": lambda b: with_field("class_id", 0.5)(
        b.astype([(n, "<f8") for n in LABEL_DTYPE.names])
    ),
    "class NaN": lambda b: with_field("class_id", np.nan)(
        b.astype([(n, "<f8") for n in LABEL_DTYPE.names])
    ),
    "track -1": lambda b: with_field("track_id", -1)(
        b.astype([(n, "<i8" if n == "track_id" else "<f8") for n in LABEL_DTYPE.names])
    ),
    "confidence 2": with_field("class_confidence", 2),
    "confidence NaN": with_field("class_confidence", np.nan),
    "beyond float32": lambda b: with_field("x", 1e300)(
        b.astype([(n, "<f8") for n in LABEL_DTYPE.names])
    ),
    "1001 boxes": extended(999),
    "wrong class": with_field("class_id", 7),
    "wide wrong class": lambda b: with_field("class_id", -1)(
        b.astype([(n, "<i8" if n == "class_id" else "<f8") for n in LABEL_DTYPE.names])
    ),
    "63 boxes": extended(61),
    "a box again": extended(1),
    "jump": with_field("x", 20),
    "no events": lambda b: with_field("y", 20)(with_field("x", 20)(with_field("h", 2)(b))),
    "original names": lambda b: b.astype(
        [("ts" if n == "t" else n, LABEL_DTYPE[n]) for n in LABEL_DTYPE.names]
    ),
    "a field less": lambda b: b[["t", "x", "y", "w", "class_id"]],
    "text fields": lambda b: np.array([("a",) * 6], [(n, "U4") for n in (*"txywh", "class_id")]),
    "rows of vectors": lambda b: np.zeros(2, [(n, "<f4", (2,)) for n in (*"txywh", "class_id")]),
    "floats": lambda b: np.ones((2, 5)),
    "objects": lambda b: np.array([{"t": 1}], object),
    "missing": None,
    "twice": "twice",
    "bad crc": "crc",
}
FILE_EDITS = {
    "sound": lambda path: None,
    "missing": lambda path: path.unlink(),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "text": lambda path: path.write_text("<html>404</html>"),
    "no bytes": lambda path: path.write_bytes(b""),
}


def mostly(first, others):
    """One in a few is damaged: recordings in which nothing is left would prove little."""
    return st.one_of(*[st.just(first)] * 3, st.sampled_from(sorted(others)))


window = st.tuples(
    st.one_of(*[st.just(0)] * 4, st.integers(-2, 3)),  # how far its clock is off the next slot
    mostly("sound", EVENT_EDITS),
    mostly("sound", BOX_EDITS),
)
shard = st.tuples(
    st.integers(1, 2),  # step of its number
    *[st.one_of(*[st.just("sound")] * 5, st.sampled_from(sorted(FILE_EDITS)))] * 2,
    st.lists(window, min_size=WINDOWS_PER_SHARD, max_size=WINDOWS_PER_SHARD),
)


def write_damaged(root, shards):
    number, slot = 0, 20
    for step, event_file, box_file, windows in shards:
        number += step
        both = {"events": {}, "labels": {}}
        broken, twice = [], []
        for member, (jump, events, boxes) in enumerate(windows):
            slot = max(1, slot + 1 + jump)
            for kind, key, edit, made in (
                ("events", "e", EVENT_EDITS[events], sound_events(slot)),
                ("labels", "l", BOX_EDITS[boxes], sound_boxes(slot)),
            ):
                if edit == "crc":
                    broken.append((kind, f"{key}{member}"))
                    both[kind][f"{key}{member}"] = made
                elif edit == "twice":
                    both[kind][f"{key}{member}"] = made
                    twice.append((kind, f"{key}{member}.npy"))
                elif edit is not None:
                    both[kind][f"{key}{member}"] = edit(made)
        for kind, arrays in both.items():
            path = shard_path(root, RECORDING, number, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, **arrays)
        for kind, member in twice:
            add_again(shard_path(root, RECORDING, number, kind), member)
        for kind, member in broken:
            damage_member(shard_path(root, RECORDING, number, kind), member)
        for kind, name in (("events", event_file), ("labels", box_file)):
            FILE_EDITS[name](shard_path(root, RECORDING, number, kind))
    write_sensor(root, RECORDING, SENSOR)


def add_again(path, member):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(member, archive.read(member))


def counts_of_scan(root):
    """Counts by name. A manifest counts a damaged file once, a cache each of its ten windows."""
    counts = Counter()
    for row in scan_release(root).recordings:
        counts.update({defect.value: count for defect, count in row.defects.items()})
        for place in row.defect_places:
            if place.member is None:
                counts[place.defect.value] += WINDOWS_PER_SHARD - 1
    return counts


def check_counts(root, policy, preset):
    expected = counts_of_scan(root)
    report = voxelize(
        walk_release(root),
        lambda _: SENSOR,
        root / "cache",
        SETTINGS[preset],
        on_corrupt=policy,
    )
    assert report.failed == []
    (made,) = report.made
    assert made.defects == expected
    named = Counter(w.defect.value for w in made.left_out)
    assert all(count <= expected[name] for name, count in named.items())
    assert set(named) <= {defect.value for defect in FATAL}
    repeated = sum(w.repeated for w in made.left_out)
    assert made.windows + len(made.left_out) - repeated == 10 * len(walk_release(root)[0].shards)
    return expected


@settings(max_examples=30)
@given(
    shards=st.lists(shard, min_size=1, max_size=2),
    policy=st.sampled_from([CorruptPolicy.QUARANTINE, CorruptPolicy.REPEAT]),
    preset=st.sampled_from(sorted(SETTINGS)),
)
def test_scan_and_voxelize_count_the_same_defects(shards, policy, preset):
    root = Path(tempfile.mkdtemp())
    try:
        write_damaged(root, shards)
        if any(root.rglob("*.npz")):
            check_counts(root, policy, preset)
    finally:
        shutil.rmtree(root)


KINDS = [("events", name) for name in EVENT_EDITS] + [("labels", name) for name in BOX_EDITS]


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_each_damage_is_counted_alike_and_hides_no_other(tmp_path, kind, name):
    """Alone, beside damaged boxes or events, and behind a window that is left out."""
    others = sorted(BOX_EDITS if kind == "events" else EVENT_EDITS)
    pairs = [(name, other) if kind == "events" else (other, name) for other in others]
    windows = [(0, *pair) for pair in pairs]
    windows += [(0, "sound", "sound")] * (-len(windows) % WINDOWS_PER_SHARD)
    shards = [(1, "sound", "sound", windows[k : k + 10]) for k in range(0, len(windows), 10)]
    write_damaged(tmp_path, shards)
    check_counts(tmp_path, CorruptPolicy.QUARANTINE, "release")


@pytest.mark.parametrize("events", FILE_EDITS)
def test_each_damaged_file_is_counted_alike_beside_any_other(tmp_path, events):
    windows = [(0, name, "out of frame") for name in list(EVENT_EDITS)[:10]]
    good = (1, "sound", "sound", [(0, "sound", "sound")] * 10)
    damaged = [(1, events, boxes, windows) for boxes in FILE_EDITS]
    write_damaged(tmp_path, [good, *damaged, good])
    check_counts(tmp_path, CorruptPolicy.REPEAT, "release")


def test_every_defect_is_among_those_compared(tmp_path):
    windows = [(0, name, "sound") for name in EVENT_EDITS] + [(0, "sound", n) for n in BOX_EDITS]
    windows += [(2, "sound", "sound")] * (-len(windows) % WINDOWS_PER_SHARD)
    shards = [(1, "sound", "sound", windows[k : k + 10]) for k in range(0, len(windows), 10)]
    shards += [(1, name, "sound", windows[:10]) for name in FILE_EDITS]
    shards += [(1, "sound", "missing", windows[:10])]
    write_damaged(tmp_path, shards)
    counts = check_counts(tmp_path, CorruptPolicy.QUARANTINE, "paper")
    assert set(counts) == {defect.value for defect in Defect}
