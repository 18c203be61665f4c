"""What a place that holds a cache can do: list, and read files of a bounded size."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

FILE, FOLDER = "a file", "a folder"  # kinds of what is in a folder


class MissingFileError(Exception):
    """A file that should be there is not; the message is its path in the cache."""


class WrongFileError(Exception):
    """Something else than a file of a cache stands in the place of one; the message says what."""


class Entry(NamedTuple):
    """Something in a folder.

    Attributes:
        name: without the folders above it.
        kind: ``a file``, ``a folder``, or what else it is.
        size: bytes; of a file.
    """

    name: str
    kind: str
    size: int = 0

    @property
    def is_folder(self) -> bool:
        """Whether it has entries of its own."""
        return self.kind == FOLDER

    @property
    def is_file(self) -> bool:
        """Whether it can be read."""
        return self.kind == FILE


class Files(Protocol):
    """Files by their paths relative to a cache's root."""

    def entries(self, path: str) -> list[Entry]:
        """All that is in the folder at ``path``; nothing if there is no such folder."""

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of one file.

        Raises:
            MissingFileError: it is not there.
            WrongFileError: it is no regular file, or larger than ``limit`` bytes.
        """

    def read_many(self, paths: Sequence[str], limit: int) -> list[bytes]:
        """The bytes of several files, side by side where that is faster; raises as :meth:`read`."""
