"""What may be written over is known before any work."""

import os
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.files.outputs import check_file_output, check_folder_output


@pytest.mark.parametrize("check", [check_file_output, check_folder_output])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pipe", "is a pipe"),
        ("to-pipe", "is a pipe"),
        ("device", "is a device"),
        ("loop", "symbolic links"),
        ("file/below", "Not a directory"),
        ("n" * 300, "File name too long"),
        ("s3://bucket/x", "is an address"),
        ("s3:/bucket/x", "is an address"),
    ],
)
def test_neither_files_nor_folders_go_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check, name: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("to-pipe").symlink_to("pipe")
    Path("device").symlink_to("/dev/null")
    Path("loop").symlink_to("loop")
    Path("file").touch()
    before = sorted(os.listdir())
    with pytest.raises(UsageError, match=says) as caught:
        check(Path(name))
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir()) == before
    assert not Path("s3:").exists()


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a folder; give a file to write"):
        check_file_output(tmp_path)
    with pytest.raises(UsageError, match="is a file; give a folder to write"):
        check_folder_output(tmp_path / "file")


def test_what_is_there_or_can_be_made_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("new/file")
    for name in ("file", "link", "dangling", "a/b/c", "n" * 250, "-", "new\nline"):
        check_file_output(tmp_path / name)
    check_folder_output(tmp_path)
    check_folder_output(tmp_path / "a/b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file", "link"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    with pytest.raises(UsageError, match="closed: cannot be written"):
        check_file_output(tmp_path / "closed/x/y")
