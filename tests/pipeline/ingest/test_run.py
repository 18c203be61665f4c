"""Several raw recordings at once: the shards of one after the other, and what one failure leaves."""

import errno
import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, RecordingError, UsageError
from pipeline.ingest import convert
from pipeline.ingest.convert import ingest_recording
from pipeline.ingest.run import ingest_recordings
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


@pytest.mark.parametrize("workers", [1, 3])
def test_several_recordings_give_the_shards_of_one_after_the_other(raws, tmp_path, workers):
    alone = [ingest_recording(raw, tmp_path / "alone", "train") for raw in raws]
    windows = []
    together = list(
        ingest_recordings(raws, tmp_path / "out", "train", workers=workers, progress=windows.append)
    )
    assert together == alone  # in their order, although the first takes longest
    assert content(tmp_path / "out") == content(tmp_path / "alone")
    assert sum(windows) == sum(summary.windows + summary.left_over for summary in alone)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_failure_ends_the_run_and_leaves_whole_recordings_only(raws, tmp_path, workers):
    raws[1].write_bytes(b"something else")
    with pytest.raises(RecordingError, match="drive_1_td"):
        list(ingest_recordings(raws, tmp_path / "out", "test", workers=workers))
    assert {path.name for path in tmp_path.glob("out/*")} <= {"test", "release.json"}
    for events in (tmp_path / "out").glob("test/*/events/*"):
        labels = Path(str(events).replace("/events/", "/labels/"))
        assert len(list(events.iterdir())) == len(list(labels.iterdir()))


def test_what_would_become_one_recording_is_refused_before_any_work(raws, tmp_path):
    with pytest.raises(UsageError, match="the same recording"):
        next(ingest_recordings([raws[1], raws[1]], tmp_path / "out", "train"))
    assert not (tmp_path / "out").exists()
    list(ingest_recordings(raws[:1], tmp_path / "out", "train"))
    with pytest.raises(UsageError, match="there already"):
        next(ingest_recordings([raws[1], raws[0]], tmp_path / "out", "train"))
    assert len(list((tmp_path / "out").glob("*/*/events/*"))) == 1


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
    (summary,) = ingest_recordings(raws[:1], tmp_path / "out", "train")
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
    windows = []
    (summary,) = ingest_recordings(raws[:1], tmp_path / "out", "train", progress=windows.append)
    assert sum(windows) == summary.windows + summary.left_over  # counted once
    assert not faults


def test_a_lasting_fault_is_one_sentence_and_leaves_nothing(raws, tmp_path, monkeypatch):
    monkeypatch.setattr(outcomes, "PAUSE", 0)

    def fail(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(convert, "write_shard", fail)
    with pytest.raises(DataError, match="Read-only file system, tried 3 times"):
        list(ingest_recordings(raws, tmp_path / "out", "train"))
    assert not (tmp_path / "out").exists()
