"""Where a cache's bytes come from: a local folder or any address fsspec knows, opened read-only."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.cache.local_files import LocalFiles
from pipeline.cache.places import Files
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
        return self._sizes(path, _DEEPEST)

    def _sizes(self, path: str, deepest: int) -> dict[str, int]:
        if not deepest:
            raise CacheError(
                f"{self.location}/{path}: is deeper than a cache's folders go; remove it."
            )
        found = {}
        for entry in self._files.entries(path):
            place = f"{path}/{entry.name}".lstrip("/")
            if entry.is_folder:
                inner = self._sizes(place, deepest - 1)
                found.update({f"{entry.name}/{below}": size for below, size in inner.items()})
            elif entry.is_file:
                found[entry.name] = entry.size
            else:
                raise CacheError(
                    f"{self.location}/{place}: is {entry.kind}, and a cache holds files and folders; "
                    "remove it, and run `dmanet-data verify`."
                )
        return found

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
