"""Every planted defect is there when the release is read, at the place the summary names."""

import dataclasses
import zipfile

import numpy as np
import pytest

from pipeline.defects import Defect
from pipeline.errors import ShardError, UsageError
from pipeline.release.labels import label_defects
from pipeline.release.members import read_events, read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.shards import WINDOW_US, shard_path, walk_release
from pipeline.selection.scan import scan_release
from pipeline.simulation.planted_defects import plan_defects
from pipeline.simulation.recordings import SimulationSettings, simulate_release

SENSOR = (96, 54)
SETTINGS = SimulationSettings(
    seed=3,
    sensor=SENSOR,
    recordings={"train": 8, "val": 1, "test": 1},
    seconds=1.5,
    rate=500,
    objects=3,
    defects=tuple(Defect),
)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    root = tmp_path_factory.mktemp("damaged") / "release"
    return root, simulate_release(root, SETTINGS).defects


@pytest.fixture(scope="module")
def place(damaged):
    """Where a defect was planted: the paths of both files and the window's number."""
    root, planted = damaged

    def of(defect, which=0):
        item = [p for p in planted if p.defect is defect][which]
        paths = (shard_path(root, item.recording, item.shard, k) for k in ("events", "labels"))
        return *paths, item.window

    return of


def reading_fails_with(read):
    with pytest.raises(ShardError) as caught:
        read()
    return caught.value.defect


def test_every_defect_is_planted_once_in_a_shard_of_its_own(damaged):
    _, planted = damaged
    names = [p.defect for p in planted]
    assert sorted(names) == sorted([*Defect, Defect.UNREADABLE_FILE])
    assert len({(p.recording, p.shard) for p in planted}) == len(planted)


def test_a_member_has_a_bad_crc_that_zipfile_sees_too(place):
    events, _, k = place(Defect.BAD_CRC)
    shard = NpzFile(events)
    assert reading_fails_with(lambda: read_events(shard, k)) is Defect.BAD_CRC
    assert len(read_events(shard, (k + 1) % 10))
    with zipfile.ZipFile(events) as archive:
        assert archive.testzip() == f"e{k}.npy"


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_is_truncated_and_another_is_no_npz(place, which):
    events, labels, _ = place(Defect.UNREADABLE_FILE, which)
    assert reading_fails_with(lambda: NpzFile(events)) is Defect.UNREADABLE_FILE
    assert events.read_bytes().startswith((b"PK", b"<html>")[which])
    assert len(NpzFile(labels).names()) == 10


def test_files_are_missing(place):
    events, labels, _ = place(Defect.MISSING_EVENT_FILE)
    assert (events.exists(), labels.exists()) == (False, True)
    events, labels, _ = place(Defect.MISSING_LABEL_FILE)
    assert (events.exists(), labels.exists()) == (True, False)


def test_a_member_is_missing(place):
    events, _, k = place(Defect.MISSING_MEMBER)
    assert reading_fails_with(lambda: read_events(NpzFile(events), k)) is Defect.MISSING_MEMBER
    assert len(NpzFile(events).names()) == 9


def test_a_member_has_a_wrong_dtype(place):
    events, _, k = place(Defect.WRONG_DTYPE)
    assert reading_fails_with(lambda: read_events(NpzFile(events), k)) is Defect.WRONG_DTYPE


def test_a_polarity_is_neither_0_nor_1(place):
    events, _, k = place(Defect.BAD_POLARITY)
    assert reading_fails_with(lambda: read_events(NpzFile(events), k)) is Defect.BAD_POLARITY


def test_events_are_unsorted_empty_at_one_time_or_of_one_polarity(place):
    def window(defect):
        events, _, k = place(defect)
        return read_events(NpzFile(events), k)

    assert (np.diff(window(Defect.UNSORTED_TIME)["t"].astype(int)) < 0).any()
    assert len(window(Defect.EMPTY_WINDOW)) == 0
    single = window(Defect.SINGLE_TIMESTAMP)
    assert len(single) > 10
    assert len(np.unique(single["t"])) == 1
    single = window(Defect.SINGLE_POLARITY)
    assert len(single) > 10
    assert len(np.unique(single["p"])) == 1


def test_windows_are_left_out_while_the_shard_number_advances(damaged, place):
    root, planted = damaged
    gap = next(p for p in planted if p.defect is Defect.TIME_GAP)
    events, labels, k = place(Defect.TIME_GAP)
    clock = [int(read_events(NpzFile(events), i)["t"][0]) // WINDOW_US for i in range(10)]
    expected = [gap.shard * 10 + i + (10 if i >= k else 0) for i in range(10)]
    assert clock == expected
    for i in range(10):
        t = read_labels(NpzFile(labels), i)["t"]
        assert (t // WINDOW_US == expected[i]).all()
    recording = next(r for r in walk_release(root) if r.id == gap.recording)
    assert gap.shard + 1 not in [s.number for s in recording.shards]


@pytest.mark.parametrize(
    ("defect", "count"),
    [
        (Defect.BOX_OUT_OF_FRAME, None),  # boxes of passing objects may be beside it
        (Defect.BOX_TOO_WIDE, 1),
        (Defect.BOX_NOT_FINITE, 1),
        (Defect.WRONG_CLASS, 1),
        (Defect.OVER_60_BOXES, None),
    ],
)
def test_boxes_are_wrong_in_the_window_named(place, defect, count):
    _, labels, k = place(defect)
    found = label_defects(read_labels(NpzFile(labels), k), SENSOR)
    assert found[defect] == count if count else found[defect] >= 1


def test_a_scan_finds_each_of_them_and_no_other(damaged):
    root, planted = damaged
    found = {}
    for row in scan_release(root).recordings:
        for defect, count in row.defects.items():
            found[defect] = found.get(defect, 0) + count
        for at in row.defect_places:
            if at.defect is not Defect.BOX_OUT_OF_FRAME:  # passing objects leave the frame
                own = [p for p in planted if (p.recording, p.shard) == (row.id, at.shard)]
                assert [p.defect for p in own] == [at.defect]
                assert at.member is None or at.member[1:] == str(own[0].window)
    several = {Defect.BOX_OUT_OF_FRAME, Defect.OVER_60_BOXES}
    assert found.keys() == set(Defect)
    for defect in found.keys() - several:
        assert found[defect] == sum(p.defect is defect for p in planted), defect


def test_the_other_files_are_as_without_defects(damaged, tmp_path):
    root, planted = damaged
    clean = tmp_path / "clean"
    simulate_release(clean, dataclasses.replace(SETTINGS, defects=()))
    touched = {(p.recording, p.shard) for p in planted}
    touched |= {(p.recording, p.shard + 1) for p in planted if p.defect is Defect.TIME_GAP}
    compared = 0
    for recording in walk_release(clean):
        for shard in recording.shards:
            if (recording.id, shard.number) not in touched:
                for kind, path in (("events", shard.events), ("labels", shard.labels)):
                    other = shard_path(root, recording.id, shard.number, kind)
                    assert other.read_bytes() == path.read_bytes()
                    compared += 1
    assert compared >= 4


def test_with_few_shards_window_faults_share_a_shard_but_never_a_window():
    shards = [(f"train/trainfilelist00/r{i}", n) for i in range(7) for n in (1, 2)]
    plan = plan_defects(shards, tuple(Defect), np.random.default_rng(0))
    assert sorted({p.defect for p in plan}) == sorted(Defect)
    places = [(p.shard, p.window) for p in plan]
    assert len(set(places)) == len(places)
    shared = [p for p in plan if [q.shard for q in plan].count(p.shard) > 1]
    fatal_files = {Defect.UNREADABLE_FILE, Defect.MISSING_EVENT_FILE, Defect.TIME_GAP}
    assert shared
    assert not fatal_files & {p.defect for p in shared}


def test_defects_that_do_not_fit_are_refused_before_anything_is_simulated(tmp_path):
    few = dataclasses.replace(SETTINGS, recordings={"train": 1})
    with pytest.raises(UsageError, match="3 shards"):
        simulate_release(tmp_path / "sim", few)
    lone = dataclasses.replace(
        SETTINGS, recordings={"train": 3}, seconds=0.5, defects=(Defect.TIME_GAP,)
    )
    with pytest.raises(UsageError, match="neighbours"):
        simulate_release(tmp_path / "sim", lone)
    assert list(tmp_path.iterdir()) == []
