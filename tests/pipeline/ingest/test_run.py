"""Several raw recordings at once: the shards of one after the other, and what one failure leaves."""

import errno
import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, UsageError
from pipeline.ingest import convert
from pipeline.ingest.convert import ingest_recording
from pipeline.ingest.run import Kept, NotIngested, ingest_recordings, recordings_below
from pipeline.ingest.summary import IngestSummary
from pipeline.release.shards import EVENT_DTYPE
from pipeline.tasks import outcomes
from tests.pipeline.raw_files import write_dat


@pytest.fixture
def raws(tmp_path) -> list[Path]:
    """Four recordings; the first is the longest."""
    paths = []
    for number, seconds in enumerate((4.1, 1.1, 2.1, 1.6)):
        events = np.zeros(int(seconds * 1000), EVENT_DTYPE)
        events["t"], events["x"] = np.arange(len(events)) * 1000, number
        paths.append(tmp_path / f"drive_{number}_td.dat")
        write_dat(paths[-1], events)
    return paths


def content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def ingested(raws, out, **options):
    return list(ingest_recordings(recordings_below(raws, "train"), out, **options))


@pytest.mark.parametrize("workers", [1, 3])
def test_several_recordings_give_the_shards_of_one_after_the_other(raws, tmp_path, workers):
    alone = [ingest_recording(raw, tmp_path / "alone", "train") for raw in raws]
    events = []
    together = ingested(raws, tmp_path / "out", workers=workers, progress=events.append)
    assert sorted(together, key=lambda row: row.recording_id) == alone
    assert content(tmp_path / "out") == content(tmp_path / "alone")
    assert sum(events) >= sum(summary.events for summary in alone)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_bad_file_does_not_stop_the_others(raws, tmp_path, workers):
    raws[1].write_bytes(b"something else")
    outcomes = ingested(raws, tmp_path / "out", workers=workers)
    (bad,) = [row for row in outcomes if isinstance(row, NotIngested)]
    assert (bad.source, "drive_1_td.dat: is no recording that can be read" in bad.reason) == (
        raws[1],
        True,
    )
    written = {path.name for path in tmp_path.glob("out/train/*/events/*")}
    assert written == {"drive_0", "drive_2", "drive_3"}
    for events in tmp_path.glob("out/train/*/events/*"):
        labels = Path(str(events).replace("/events/", "/labels/"))
        assert len(list(events.iterdir())) == len(list(labels.iterdir()))


def test_what_would_become_one_recording_is_refused_before_any_work(raws):
    with pytest.raises(UsageError, match="the same recording"):
        recordings_below([raws[1], raws[1]], "train")


def test_recordings_that_are_there_are_kept_and_made_again_only_on_request(raws, tmp_path):
    out = tmp_path / "out"
    ingested(raws[:2], out)
    before = content(out)
    raws[0].write_bytes(raws[2].read_bytes())
    again = ingested(raws, out)
    assert [type(row) for row in again] == [Kept, Kept, IngestSummary, IngestSummary]
    assert before.items() <= {**content(out), "release.json": before["release.json"]}.items()
    ingested(raws[:1], out, overwrite=True)
    shards = sorted(path.name for path in out.glob("train/*/events/drive_0/*"))
    assert shards == sorted(path.name for path in out.glob("train/*/events/drive_2/*"))
    assert not list(out.rglob(".*"))


def test_a_recording_made_again_that_fails_leaves_the_one_before(raws, tmp_path, monkeypatch):
    out = tmp_path / "out"
    ingested(raws[:1], out)
    before = content(out)

    def fail(moves):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(convert, "publish_folders", fail)
    with pytest.raises(DataError, match="No space left"):
        ingested(raws[:1], out, overwrite=True)
    assert content(out) == before


def test_a_folder_gives_its_recordings_the_splits_of_its_folders(raws, tmp_path):
    for split, raw in zip(("train", "val", "test"), raws, strict=False):
        place = tmp_path / "gen1" / split / "night"
        place.mkdir(parents=True)
        raw.rename(place / raw.name)
        (place / raw.name.replace("_td.dat", "_bbox.npy")).touch()
    found = recordings_below([tmp_path / "gen1", raws[3]], None)
    assert list(found) == [
        "test/testfilelist00/drive_2",
        "train/trainfilelist00/drive_0",
        "val/valfilelist00/drive_1",
        "train/trainfilelist00/drive_3",
    ]
    assert [key.split("/")[0] for key in recordings_below([tmp_path / "gen1"], "val")] == [
        "val"
    ] * 3


def test_a_folder_without_recordings_says_what_it_looked_for(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"no file in it ends in \.dat, \.raw"):
        recordings_below([tmp_path], None)


@pytest.mark.parametrize("published", [1, 2])
def test_an_attempt_that_published_before_it_failed_is_done(raws, tmp_path, monkeypatch, published):
    """Both folders, or one of them as after a power cut in between."""
    monkeypatch.setattr(outcomes, "PAUSE", 0)
    faults = [OSError(errno.EIO, "Input/output error")]
    publish = convert.publish_folders

    def fail_once(moves):
        if not faults:
            return publish(moves)
        publish(moves[:published])
        raise faults.pop()

    monkeypatch.setattr(convert, "publish_folders", fail_once)
    (summary,) = ingested(raws[:1], tmp_path / "out")
    assert summary == ingest_recording(raws[0], tmp_path / "alone", "train")
    assert content(tmp_path / "out") == content(tmp_path / "alone")
    assert not faults


def test_a_passing_fault_of_the_machine_is_tried_again(raws, tmp_path, monkeypatch):
    monkeypatch.setattr(outcomes, "PAUSE", 0)
    faults = [OSError(errno.EIO, "Input/output error")]
    write_shard = convert.write_shard

    def fail_once(*arguments):
        if faults:
            raise faults.pop()
        write_shard(*arguments)

    monkeypatch.setattr(convert, "write_shard", fail_once)
    events = []
    (summary,) = ingested(raws[:1], tmp_path / "out", progress=events.append)
    assert sum(events) == 3600  # after the first half second, counted once
    assert summary.events <= 3600
    assert not faults


def test_a_lasting_fault_is_one_sentence_and_leaves_nothing(raws, tmp_path, monkeypatch):
    monkeypatch.setattr(outcomes, "PAUSE", 0)

    def fail(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(convert, "write_shard", fail)
    told = ingested(raws, tmp_path / "out")
    assert all("Read-only file system, tried 3 times" in row.reason for row in told)
    assert not (tmp_path / "out").exists()
