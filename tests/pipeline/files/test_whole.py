"""Files and folders appear whole or not at all, and are on disk when that is promised."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.files.whole import folder_written_whole, publish_folders, written_whole
from pipeline.release.sensors import write_sensors
from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE, write_shard


def test_the_file_appears_when_the_block_ends(tmp_path: Path):
    path = tmp_path / "new" / "file.txt"
    with written_whole(path) as unfinished:
        unfinished.write_text("content")
        assert not path.exists()
    assert path.read_text() == "content"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail_midway() -> None:
        with written_whole(path) as unfinished:
            unfinished.write_text("half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_appears_when_the_block_ends_also_over_an_empty_one(tmp_path: Path):
    for path in (tmp_path / "new", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with folder_written_whole(path) as unfinished:
            (unfinished / "file.txt").write_text("content")
            assert not (path / "file.txt").exists()
        assert [p.name for p in path.iterdir()] == ["file.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "new"]


def test_a_folder_with_content_is_refused_before_any_work(tmp_path: Path):
    (tmp_path / "file.txt").write_text("old")
    for path in (tmp_path, tmp_path / "file.txt"):
        with pytest.raises(UsageError, match="not empty"), folder_written_whole(path):
            pytest.fail("the block was entered")
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


# --- what is on disk when --------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch) -> list[Path]:
    """Every path brought to the disk, in order."""
    paths = []

    def note(handle: int) -> None:
        paths.append(Path(os.readlink(f"/proc/self/fd/{handle}")))

    monkeypatch.setattr(os, "fsync", note)
    return paths


def test_a_file_is_on_disk_before_its_name_and_its_name_before_the_end(tmp_path: Path, synced):
    path = tmp_path / "new" / "deep" / "file.txt"
    with written_whole(path) as unfinished:
        unfinished.write_text("content")
    assert synced[0] == unfinished
    # The folder of the file, and those that were made for it.
    assert set(synced[1:]) == {tmp_path / "new" / "deep", tmp_path / "new", tmp_path}
    del synced[:]
    with written_whole(path) as unfinished:
        unfinished.write_text("again")
    assert synced == [unfinished, path.parent]


def test_a_file_that_would_not_be_missed_is_not_waited_for(tmp_path: Path, synced):
    with written_whole(tmp_path / "file.txt", durable=False) as unfinished:
        unfinished.write_text("content")
    assert (tmp_path / "file.txt").read_text() == "content"
    assert synced == []


def test_a_folder_is_on_disk_with_all_it_holds_but_what_it_links_to(tmp_path: Path, synced):
    (tmp_path / "source.txt").write_text("elsewhere")
    with folder_written_whole(tmp_path / "folder") as unfinished:
        (unfinished / "inner").mkdir()
        (unfinished / "inner" / "file.txt").write_text("content")
        (unfinished / "link").symlink_to(tmp_path / "source.txt")
    assert synced[-1] == tmp_path
    assert sorted(synced[:-1]) == [
        unfinished,
        unfinished / "inner",
        unfinished / "inner" / "file.txt",
    ]


def test_shards_and_planted_files_are_left_to_the_folder_they_belong_to(tmp_path: Path, synced):
    empty = [np.empty(0, EVENT_DTYPE)] * 10
    write_shard(tmp_path, "train/trainfilelist00/a", 1, empty, [np.empty(0, LABEL_DTYPE)] * 10)
    assert synced == []
    write_sensors(tmp_path, {"train/trainfilelist00/a": (64, 48)})
    assert [path.name for path in synced] == ["release.json", tmp_path.name]


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), SystemExit()])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_fault_before_the_rename_leaves_the_old_file(tmp_path: Path, monkeypatch, call, fault):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(*_):
        raise fault

    def write() -> None:
        with written_whole(path) as unfinished:
            unfinished.write_text("new")
            monkeypatch.setattr(os, call, fail)

    with pytest.raises(type(fault)):
        write()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_fault_before_the_rename_leaves_no_folder(tmp_path: Path, monkeypatch, call):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    def write() -> None:
        with folder_written_whole(tmp_path / "folder") as unfinished:
            (unfinished / "file.txt").write_text("content")
            monkeypatch.setattr(os, call, fail)

    with pytest.raises(OSError, match="Input/output"):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [written_whole, folder_written_whole])
def test_folders_made_on_the_way_to_a_fault_are_gone(tmp_path: Path, write):
    (tmp_path / "old").mkdir()
    with pytest.raises(RuntimeError), write(tmp_path / "old/new/deep/name"):
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]


def test_a_folder_that_others_filled_meanwhile_stays(tmp_path: Path):
    def write() -> None:
        with written_whole(tmp_path / "new/deep/name"):
            (tmp_path / "new/theirs").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["theirs"]


def test_an_interrupt_right_after_a_rename_takes_it_back(tmp_path: Path, monkeypatch):
    moves = []
    for name in "ab":
        (tmp_path / name).mkdir()
        moves.append((tmp_path / name, tmp_path / "out" / name))
    rename = os.rename

    def interrupted(folder: Path, place: Path) -> None:
        rename(folder, place)
        if place == moves[1][1]:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish_folders(moves)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    program = (
        "import os, sys, pathlib\n"
        "from pipeline.files.whole import written_whole\n"
        "with written_whole(pathlib.Path(sys.argv[1])) as unfinished:\n"
        "    unfinished.write_text('half of the n')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)])
    assert done.returncode == -9
    assert path.read_text() == "old"


def test_several_folders_appear_together_or_not_at_all(tmp_path: Path):
    moves = []
    for name in "ab":
        folder = tmp_path / "built" / name
        folder.mkdir(parents=True)
        (folder / "file.txt").write_text(name)
        moves.append((folder, tmp_path / "out" / name / "here"))
    taken = tmp_path / "out" / "b" / "here"
    taken.mkdir(parents=True)
    (taken / "mine.txt").write_text("keep")
    with pytest.raises(OSError, match="not empty"):
        publish_folders(moves)
    assert not (tmp_path / "out" / "a" / "here").exists()
    assert all((folder / "file.txt").exists() for folder, _ in moves)
    (taken / "mine.txt").unlink()
    publish_folders(moves)
    assert [(place / "file.txt").read_text() for _, place in moves] == ["a", "b"]


def test_a_folder_may_be_the_current_one_or_be_reached_by_a_link(tmp_path: Path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with folder_written_whole(tmp_path / "link") as unfinished:
        (unfinished / "file.txt").write_text("content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file.txt").read_text() == "content"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with folder_written_whole(Path()) as unfinished:
        (unfinished / "file.txt").write_text("content")
    assert (tmp_path / "here" / "file.txt").read_text() == "content"
