"""The release on disk: what is listed, how files pair, byte layout."""

import os

import numpy as np
import pytest

from pipeline.errors import DataError, UsageError
from pipeline.release.members import read_events, read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.shards import EVENT_DTYPE, shard_path, walk_release
from tests.pipeline.releases import write_recording

RECORDING = "train/trainfilelist00/rec_a"


def test_events_and_labels_pair_by_number_when_a_file_is_missing(tmp_path):
    write_recording(tmp_path, RECORDING, shards=(1, 2, 3))
    shard_path(tmp_path, RECORDING, 1, "events").unlink()
    shard_path(tmp_path, RECORDING, 2, "labels").unlink()
    (recording,) = walk_release(tmp_path)
    assert [(s.number, bool(s.events), bool(s.labels)) for s in recording.shards] == [
        (1, False, True),
        (2, True, False),
        (3, True, True),
    ]
    assert recording.id == RECORDING


def test_walk_orders_splits_and_ignores_strangers(tmp_path):
    for recording in ("test/testfilelist00/z", "train/trainfilelist01/b", "val/valfilelist00/a"):
        write_recording(tmp_path, recording, shards=(1,), events_per_window=5)
    (tmp_path / "train" / "readme.txt").write_text("hello")
    (tmp_path / "train/trainfilelist01/events/b/ev001.npz.part").write_text("half")
    assert [r.split for r in walk_release(tmp_path)] == ["train", "val", "test"]
    assert all(len(r.shards) == 1 for r in walk_release(tmp_path))


@pytest.mark.parametrize("make", [False, True])
def test_a_missing_or_empty_folder_is_a_usage_error(tmp_path, make):
    root = tmp_path / "release"
    if make:
        root.mkdir()
    with pytest.raises(UsageError, match=str(root)):
        walk_release(root)


def test_written_shards_read_back_in_the_release_layout(tmp_path):
    write_recording(tmp_path, RECORDING, shards=(7,))
    path = shard_path(tmp_path, RECORDING, 7, "events")
    assert path.name == "ev007.npz"
    with np.load(path) as plain:
        assert plain.files == [f"e{k}" for k in range(10)]
        assert plain["e3"].dtype == EVENT_DTYPE
        assert plain["e3"].dtype.itemsize == 9
        np.testing.assert_array_equal(read_events(NpzFile(path), 3), plain["e3"])
    labels = NpzFile(shard_path(tmp_path, RECORDING, 7, "labels"))
    assert read_labels(labels, 0).dtype.itemsize == 33


FOLDERS = ["train", "train/trainfilelist00/events", "train/trainfilelist00/labels"]


@pytest.mark.parametrize("folder", [*FOLDERS, "train/trainfilelist00/events/rec_a"])
def test_a_folder_that_cannot_be_listed_is_never_taken_for_missing(tmp_path, monkeypatch, folder):
    write_recording(tmp_path, RECORDING, shards=(1,), events_per_window=5)

    def refusing(real):
        def list_folder(path):
            if os.fspath(path) == os.fspath(tmp_path / folder):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return real(path)

        return list_folder

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    with pytest.raises(PermissionError):
        walk_release(tmp_path)


def test_links_to_nowhere_and_loops_are_the_systems_own_errors(tmp_path):
    write_recording(tmp_path, RECORDING, shards=(1,), events_per_window=5)
    link = tmp_path / "val"
    link.symlink_to(tmp_path / "a disk that is not there")
    with pytest.raises(FileNotFoundError):
        walk_release(tmp_path)
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        walk_release(tmp_path)


def test_two_files_of_one_number_are_refused(tmp_path):
    write_recording(tmp_path, RECORDING, shards=(1,), events_per_window=5)
    path = shard_path(tmp_path, RECORDING, 1, "events")
    path.with_name("ev1.npz").write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=r"ev001\.npz and ev1\.npz"):
        walk_release(tmp_path)


@pytest.mark.parametrize("name", [os.fsdecode(b"latin\xe9"), "zarr.json"])
def test_names_that_nothing_could_store_are_refused(tmp_path, name):
    write_recording(tmp_path, f"train/trainfilelist00/{name}", shards=(1,), events_per_window=5)
    with pytest.raises(UsageError, match="rename it") as caught:
        walk_release(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    str(caught.value).encode("ascii")


def test_odd_names_that_can_be_stored_are_kept(tmp_path):
    names = ["-rf", "a b", "ü€", "'; --", "two\nlines", "bell\a"]
    for name in names:
        write_recording(tmp_path, f"train/trainfilelist00/{name}", shards=(1,), events_per_window=5)
    assert [files.name for files in walk_release(tmp_path)] == sorted(names)
