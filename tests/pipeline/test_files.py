from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.files import folder_written_whole, written_whole


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
