"""The files of a cache at an address that fsspec knows: S3, HTTP, a file system in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.cache.local_files import LocalFiles
from pipeline.cache.places import FILE, FOLDER, Entry, Files, MissingFileError, WrongFileError
from pipeline.errors import CacheError, UsageError


def open_address(location: str) -> Files:
    """The files at an address.

    Raises:
        UsageError: it is no address, or needs a package that is not installed.
        CacheError: it cannot be reached.
    """
    try:
        filesystem, path = fsspec.core.url_to_fs(location)
    except ImportError as error:
        raise UsageError(f"{location}: needs another package ({first_line(error)}).") from None
    except ValueError as error:  # fsspec: "Protocol not known: …"
        raise UsageError(f"{location}: not an address ({first_line(error)}).") from None
    except Exception as error:  # each filesystem raises its own library's errors
        raise _out_of_reach(location, error) from error
    if isinstance(filesystem, LocalFileSystem):
        return LocalFiles(Path(path))
    return RemoteFiles(location, filesystem, path)


class RemoteFiles:
    """Files below an address, by their paths relative to it.

    Whatever a filesystem raises is a :class:`CacheError`.

    Args:
        location: the address.
        filesystem: that fsspec found for it.
        path: of the cache in it.
    """

    def __init__(self, location: str, filesystem: fsspec.AbstractFileSystem, path: str) -> None:
        self._location, self._files, self._path = location, filesystem, path

    def entries(self, path: str) -> list[Entry]:
        """All that is in the folder at ``path``; nothing if there is no such folder."""
        with self._reaching():
            try:
                found = self._files.ls(self._at(path), detail=True)
            except FileNotFoundError:
                return []
        return [
            Entry(name, FILE if item["type"] == "file" else FOLDER, item["size"] or 0)
            for item in found
            if (name := item["name"].rstrip("/").rpartition("/")[2])
        ]

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of one file.

        Raises:
            MissingFileError: it is not there.
            WrongFileError: it is larger than ``limit`` bytes.
        """
        with self._reaching():
            try:
                data = self._files.cat_file(self._at(path), end=limit + 1)
            except FileNotFoundError:
                raise MissingFileError(path) from None
        return self._of_size(path, data, limit)

    def read_many(self, paths: Sequence[str], limit: int) -> list[bytes]:
        """The bytes of several files, fetched side by side; raises as :meth:`read`."""
        places = [self._at(path) for path in paths]
        with self._reaching():
            try:
                found = self._files.cat_ranges(places, 0, limit + 1, on_error="raise")
                for data in found:  # not every filesystem raises when it is asked to
                    if isinstance(data, BaseException):
                        raise data
            except FileNotFoundError as error:
                raise MissingFileError(str(error.filename or first_line(error))) from None
        return [self._of_size(path, data, limit) for path, data in zip(paths, found, strict=True)]

    def _of_size(self, path: str, data: bytes, limit: int) -> bytes:
        if len(data) > limit:
            raise WrongFileError(f"{self._location}/{path}: is larger than {limit} bytes")
        return data

    def _at(self, path: str) -> str:
        return f"{self._path}/{path}".rstrip("/")

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except MissingFileError:
            raise
        except Exception as error:  # each filesystem raises its own library's errors
            raise _out_of_reach(self._location, error) from error


def _out_of_reach(location: str, error: Exception) -> CacheError:
    return CacheError(
        f"{location}: cannot be read ({first_line(error)}); check that it can be reached."
    )


def first_line(error: Exception) -> str:
    """What a library's error says, short enough for one sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
