"""Where a cache's bytes come from: a local folder or any address fsspec knows, opened read-only."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.cache.local_files import LocalFiles
from pipeline.cache.places import FILE, FOLDER, Files
from pipeline.cache.records import array_digest
from pipeline.cache.stored_array import LARGEST_CHUNK_FILE
from pipeline.errors import CacheError

_DEEPEST = 8  # folders below one another; a chunk of a table is the seventh below the root


class CacheStore:
    """The files of one cache, by their paths relative to its root.

    Where a folder of this machine cannot be read, every method raises the system's own
    :class:`OSError`; where an address cannot be reached, :class:`~pipeline.errors.CacheError`.

    Attributes:
        location: a path or an fsspec URL.

    Raises:
        UsageError: it is no address.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._files: Files
        if "://" in location:
            from pipeline.cache.remote_files import open_address  # and with it fsspec

            self._files = open_address(location)
        else:
            self._files = LocalFiles(Path(location))

    def folders(self, path: str = "") -> list[str]:
        """Names of the folders at ``path``, hidden ones left out.

        Listed as files, not as zarr nodes: one damaged node must not hide the others.
        """
        names = [entry.name for entry in self._files.entries(path) if entry.is_folder]
        return sorted(name for name in names if not name.startswith("."))

    def names(self, path: str = "") -> set[str]:
        """Names of all that is at ``path``, hidden ones as well."""
        return {entry.name for entry in self._files.entries(path)}

    def sizes(self, path: str = "") -> dict[str, int]:
        """Bytes of every file below ``path``, by its name relative to it.

        Raises:
            CacheError: there is something that is neither a file nor a folder.
        """
        found: dict[str, int] = {}
        self._add_sizes(path, "", _DEEPEST, found)
        return found

    def _add_sizes(self, path: str, below: str, deepest: int, found: dict[str, int]) -> None:
        folder = f"{path}/{below}".strip("/")
        if not deepest:
            raise CacheError(
                f"{self.location}/{folder}: is deeper than a cache's folders go; remove it."
            )
        for name, kind, size in self._files.entries(folder):
            if kind == FILE:
                found[f"{below}{name}"] = size
            elif kind == FOLDER:
                self._add_sizes(path, f"{below}{name}/", deepest - 1, found)
            else:
                place = f"{folder}/{name}".lstrip("/")
                raise CacheError(
                    f"{self.location}/{place}: is {kind}, and a cache holds files and folders; "
                    "remove it, and run `dmanet-data verify`."
                )

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of one file.

        Raises:
            MissingFileError: it is not there.
            WrongFileError: it is no regular file, or larger than ``limit`` bytes.
        """
        return self._files.read(path, limit)

    def chunks(self, paths: Sequence[str]) -> list[bytes]:
        """The bytes of several chunk files; raises as :meth:`read`."""
        return self._files.read_many(paths, LARGEST_CHUNK_FILE)

    def array_digest(self, array: str) -> str:
        """The digest of the files of the array at this path, as the writer computes it."""
        return array_digest(
            self.sizes(array), lambda name: self.read(f"{array}/{name}", LARGEST_CHUNK_FILE)
        )
