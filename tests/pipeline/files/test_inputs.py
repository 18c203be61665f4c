"""Only regular files are opened, and only as much of them as may be."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.files.inputs import open_regular, read_regular, require_regular


def make_folder(path: Path) -> None:
    path.mkdir()


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path has a hundred bytes at most
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def make_link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (make_folder, "a folder"),
        (os.mkfifo, "a pipe"),
        (make_socket, "a socket"),
        (make_link_to_a_pipe, "a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_what_is_no_regular_file_is_named_and_never_waited_for(
    tmp_path: Path, make: Callable[[Path], object], kind: str
) -> None:
    make(tmp_path / "a")
    for read in (require_regular, open_regular, lambda path: read_regular(path, 10)):
        with pytest.raises(UsageError, match=f"a: is {kind}; give a regular file"):
            read(tmp_path / "a")


def test_a_file_that_becomes_a_pipe_after_the_look_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "a")
    monkeypatch.setattr("pipeline.files.inputs.require_regular", lambda path: 0)
    with pytest.raises(UsageError, match="a: is a pipe"):
        open_regular(tmp_path / "a")


def test_a_file_longer_than_it_may_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(UsageError, match="a: is larger than the 4 bytes"):
        read_regular(tmp_path / "a", 4)


def test_what_the_machine_says_goes_through(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "absent")
    with pytest.raises(OSError, match="symbolic links"):
        open_regular(tmp_path / "loop")
    with pytest.raises(OSError, match="too long"):
        open_regular(tmp_path / ("n" * 300))
