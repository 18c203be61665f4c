"""The files of a cache in a folder of this machine: only regular files and folders, only so large."""

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.cache.places import FILE, FOLDER, Entry, MissingFileError, WrongFileError
from pipeline.errors import UsageError
from pipeline.files.inputs import kind_of, read_regular

_NOT_THERE = (FileNotFoundError, NotADirectoryError)  # a file stands where a folder should


class LocalFiles:
    """Files below a folder, by their paths relative to it.

    What the machine fails at is the system's own :class:`OSError`.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root.absolute())

    def entries(self, path: str) -> list[Entry]:
        """All that is in the folder at ``path``, links followed; nothing if it is no folder."""
        try:
            with os.scandir(f"{self._root}/{path}") as found:
                return [_entry(item) for item in found]
        except _NOT_THERE:
            return []

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of one file.

        Raises:
            MissingFileError: it is not there.
            WrongFileError: it is no regular file, or larger than ``limit`` bytes.
        """
        try:
            return read_regular(f"{self._root}/{path}", limit)
        except _NOT_THERE:
            raise MissingFileError(path) from None
        except UsageError as error:
            raise WrongFileError(str(error)) from None

    def read_many(self, paths: Sequence[str], limit: int) -> list[bytes]:
        """The bytes of several files; raises as :meth:`read`."""
        return [self.read(path, limit) for path in paths]


def _entry(item: os.DirEntry[str]) -> Entry:
    if item.is_dir():  # known from the listing, but for a link
        return Entry(item.name, kind=FOLDER)
    try:
        status = item.stat()
    except FileNotFoundError:
        return Entry(item.name, kind="a link to nothing")
    kind = kind_of(status.st_mode)
    return Entry(item.name, kind=kind or FILE, size=status.st_size)
