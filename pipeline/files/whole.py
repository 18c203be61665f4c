"""Files and folders that appear whole or not at all.

Everything is made in a hidden folder beside its place and renamed when it is whole: a reader sees the
old content or the new, and what raises leaves nothing. A rename alone does not outlive a power cut, so
the content is brought to the disk before it and the folder's entry after it, unless the caller says
that losing the file would not be missed.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.files.outputs import STANDARD_OUTPUT, require_new_folder

_FLUSHES = 16  # side by side, so that the disk may join them
_LONGEST_PREFIX = 200  # bytes of a file's name, of the 255 that file systems take


@contextmanager
def written_whole(
    path: Path, *, durable: bool = True, beside: Path | None = None
) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    When the block raises, nothing is left and an older ``path`` stands as it was. What a link points
    to is written, and the link stays.

    Args:
        path: the file. Folders above it are made where they are missing. For
            :data:`~pipeline.files.outputs.STANDARD_OUTPUT` the whole content goes there.
        durable: after a power cut ``path`` is the old file or the new one. Without it, it may be
            empty; the caller says why that is enough.
        beside: where to work, on the same disk; the folder of ``path`` if not given.

    Raises:
        OSError: the file cannot be written; the error names ``path``.
    """
    if path == STANDARD_OUTPUT:
        with _to_standard_output() as unfinished:
            yield unfinished
        return
    place = Path(os.path.realpath(path))
    with _naming(path), _made(place.parent) as new:
        with unfinished_beside(beside / place.name if beside else place) as unfinished:
            yield unfinished
            if durable:
                sync(unfinished)
            os.replace(unfinished, place)
        if durable:
            for folder in (place.parent, *(folder.parent for folder in new)):
                sync(folder)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` to fill; it becomes ``path`` when the block ends well.

    When the block raises, nothing is left. All of it is on disk before it has its name.

    Raises:
        UsageError: ``path`` exists and is not an empty folder.
        OSError: it cannot be written; the error names ``path``.
    """
    require_new_folder(path)
    place = path.resolve()  # a link to an empty folder stays one
    with _naming(path), unfinished_beside(place) as unfinished:
        unfinished.mkdir()
        yield unfinished
        publish_folders([(unfinished, place)])


@contextmanager
def unfinished_beside(path: Path) -> Iterator[Path]:
    """A path with the name of ``path`` in a hidden folder beside it, which is gone at the end.

    A folder of its own, because some writers choose a file's format by its name. Folders above it are
    made where they are missing, and gone again if the block raises.
    """
    short = os.fsdecode(os.fsencode(path.name)[:_LONGEST_PREFIX])  # a name may fill all that fits
    with (
        _made(path.parent),
        tempfile.TemporaryDirectory(prefix=f".{short}.", dir=path.parent) as folder,
    ):
        yield Path(folder) / path.name


@contextmanager
def _to_standard_output() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        unfinished = Path(folder) / "output"
        yield unfinished
        with unfinished.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of the system speak of the file that was asked for, not of where it is made."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            if error.filename is None or _is_hidden(error.filename, path):
                error.filename, error.filename2 = str(path), None
            elif error.filename2 is not None and _is_hidden(error.filename2, path):
                error.filename2 = str(path)  # a copy: either file may be the one to blame
        raise


def _is_hidden(name: Any, path: Path) -> bool:
    """Whether a file is one that is made on the way to ``path``."""
    return os.fsdecode(name).startswith(f"{os.path.realpath(path.parent)}/.")


def publish_folders(moves: Sequence[tuple[Path, Path]]) -> None:
    """Rename folders that are whole to their places, all of them or none.

    Args:
        moves: folders with their places, on the same disk, none of which holds anything yet.

    Raises:
        OSError: a place is taken, or cannot be made; every folder is where it was, and no other is left.
    """
    for folder, _ in moves:
        sync_tree(folder)
    entries = set()
    with contextlib.ExitStack() as made:
        try:
            for folder, place in moves:
                new = made.enter_context(_made(place.parent))
                entries |= {place.parent, *(one.parent for one in new)}
                os.rename(folder, place)
        except BaseException:
            for folder, place in moves:
                # By what is there: an interrupt may come between a rename and a note of it.
                if not os.path.lexists(folder):
                    os.rename(place, folder)
            raise
    for entry in sorted(entries, reverse=True):
        sync(entry)


def sync_tree(folder: Path) -> None:
    """Bring a folder with all it holds to the disk. Links are, their files are not."""
    paths = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
    with ThreadPoolExecutor(_FLUSHES) as pool:
        list(pool.map(sync, paths))


def sync(path: Path) -> None:
    """Bring a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _made(folder: Path) -> Iterator[list[Path]]:
    """Make ``folder`` where it is missing; what was made, which is gone again if the block raises."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield new
    except BaseException:
        for path in new:
            with contextlib.suppress(OSError):  # somebody else put something there
                path.rmdir()
        raise
