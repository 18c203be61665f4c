"""Shards are read ahead by a thread that ends with the reading."""

import threading
from pathlib import Path

import pytest

from pipeline.release.shards import walk_release
from pipeline.voxelizing import reading
from pipeline.voxelizing.reading import SourceFiles, windows_of
from tests.pipeline.releases import write_recording


def threads_ahead() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("read-ahead")]


def test_what_failed_leaves_no_thread_although_its_traceback_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recording(tmp_path, "train/trainfilelist00/a", shards=(1, 2, 3), seed=1)
    (files,) = walk_release(tmp_path)
    real, told = reading.read_window, []

    def failing(*arguments: object) -> object:
        told.append(threads_ahead())
        if len(told) == 12:
            raise OSError("the disk is gone")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read_window", failing)
    with pytest.raises(OSError, match="gone") as kept:
        list(windows_of(files, SourceFiles(), read_ahead=True))
    assert len(told[-1]) == 1  # it was there
    assert threads_ahead() == []
    assert kept.tb is not None
