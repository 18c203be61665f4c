"""Files and folders that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UsageError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    The content is on disk before the name is: after a power cut ``path`` is the old file or the new
    one. When the block raises, nothing is left and an older ``path`` stands as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own, because some writers choose a file's format by its name.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
        unfinished = Path(beside) / path.name
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` to fill; it becomes ``path`` when the block ends well.

    When the block raises, nothing is left.

    Raises:
        UsageError: ``path`` exists and is not an empty folder.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path}: exists and is not empty; give a new folder, or remove it first.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
        unfinished = Path(beside) / path.name
        unfinished.mkdir()
        yield unfinished
        os.replace(unfinished, path)  # also over an empty folder
