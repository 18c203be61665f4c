import os
import shutil

import pytest

from pipeline.defects import BOX_FAULTS, Defect
from pipeline.errors import UsageError
from pipeline.release import npz
from pipeline.release.sensors import write_sensor
from pipeline.release.shards import shard_path
from pipeline.selection import scan as scan_module
from pipeline.selection import scan_record
from pipeline.selection.scan import scan_release
from tests.pipeline.releases import damage_member, write_recording

A, B = "train/trainfilelist00/a", "val/valfilelist00/b"


@pytest.fixture
def release(tmp_path, monkeypatch):
    monkeypatch.setattr(scan_record, "_SETTLED", 0)
    for seed, name in enumerate((A, B)):
        write_recording(
            tmp_path / "release", name, shards=(1, 2, 3), events_per_window=20, seed=seed
        )
    return tmp_path / "release"


@pytest.fixture
def read(monkeypatch):
    """Names of the shards' files that are read."""
    names = []
    real = npz.open_regular

    def noted(path):
        names.append(f"{path.parent.name}/{path.name}")
        return real(path)

    monkeypatch.setattr(npz, "open_regular", noted)
    return names


def scan(release, **options):
    return scan_release(release, record=release.parent / "m.json.scan", **options)


@pytest.mark.parametrize("labels_only", [False, True])
def test_what_has_not_changed_is_not_read_again(release, read, labels_only):
    plain = scan_release(release, labels_only=labels_only)
    assert scan(release, labels_only=labels_only) == plain
    del read[:]
    assert scan(release, labels_only=labels_only) == plain
    assert read == []


def test_what_changed_is_read_again_whatever_its_time_of_modification(release, read):
    scan(release)
    path = shard_path(release, A, 2, "events")
    before = path.stat()
    damage_member(path, "e4")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    shard_path(release, B, 3, "labels").unlink()
    del read[:]
    manifest = scan(release)
    assert sorted(read) == sorted(
        [f"a/{kind}{n:03d}.npz" for kind in ("ev", "lb") for n in (1, 2, 3)]
        + [f"b/ev{n:03d}.npz" for n in (1, 2, 3)]
        + [f"b/lb{n:03d}.npz" for n in (1, 2)]
    )
    assert manifest == scan_release(release)
    found = manifest.totals.defects
    assert {defect: found[defect] for defect in found if defect not in BOX_FAULTS} == {
        Defect.BAD_CRC: 1,
        Defect.MISSING_LABEL_FILE: 1,
    }


def test_a_file_that_was_just_written_is_read_again(release, read, monkeypatch):
    monkeypatch.setattr(scan_record, "_SETTLED", 3600 * 10**9)
    scan(release)
    del read[:]
    scan(release)
    assert len(read) == 12


def test_a_shard_whose_clock_begins_elsewhere_is_read_again(release, read):
    scan(release)
    for number in (1, 2):  # the third then has nothing before it, and leaves no gap
        for kind in ("events", "labels"):
            shard_path(release, A, number, kind).unlink()
    del read[:]
    assert scan(release) == scan_release(release)
    assert "a/ev003.npz" in read


def test_other_criteria_and_another_sensor_read_all_again(release, read):
    scan(release)
    assert scan(release, min_side=100.0) == scan_release(release, min_side=100.0)
    write_sensor(release, A, (2000, 1000))
    del read[:]
    scan(release, min_side=100.0)
    assert {name[0] for name in read} == {"a"}


def test_a_killed_scan_goes_on_where_it_was(release, read):
    whole = scan_release(release)

    def interrupt(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(release, progress=interrupt)
    record = release.parent / "m.json.scan"
    with record.open("ab") as file:
        file.write(b'{"id":"val/valfile')  # the line that it was writing
    del read[:]
    assert scan(release) == whole
    assert {name[0] for name in read} == {"b"}
    del read[:]
    assert scan(release) == whole
    assert read == []


def test_a_recording_that_went_leaves_the_record(release):
    scan(release)
    for kind in ("events", "labels"):
        shutil.rmtree(shard_path(release, A, 1, kind).parent)
    scan(release)
    record = (release.parent / "m.json.scan").read_text()
    assert len(record.splitlines()) == 2
    assert A not in record


@pytest.mark.parametrize("content", [b"my notes\n", b'{"a": 1}\n'])
def test_another_file_in_its_place_stays_as_it_is(release, content):
    record = release.parent / "m.json.scan"
    record.write_bytes(content)
    with pytest.raises(UsageError, match="move it away"):
        scan(release)
    assert record.read_bytes() == content


def test_a_pipe_in_its_place_is_not_waited_for(release):
    os.mkfifo(release.parent / "m.json.scan")
    with pytest.raises(UsageError, match="move it away"):
        scan(release)


def test_a_damaged_line_is_named(release):
    scan(release)
    record = release.parent / "m.json.scan"
    record.write_text(record.read_text().replace('"events":200', '"events":"many"', 1))
    with pytest.raises(UsageError, match="line 2 is damaged; delete it"):
        scan(release)


def test_two_scans_do_not_write_one_record(release):
    def again(done, total):
        with pytest.raises(UsageError, match="another scan is writing it"):
            scan(release)

    scan(release, progress=again)


def test_processes_keep_the_same_record(release, monkeypatch):
    monkeypatch.setattr(scan_module, "_WORTH_A_PROCESS", 1)
    record = release.parent / "m.json.scan"
    scan(release, workers=2)
    # The other processes do not know that the fixture lets fresh files settle at once.
    in_two = record.read_text().replace('"is_settled":false', '"is_settled":true')
    record.unlink()
    scan(release)
    assert record.read_text() == in_two
