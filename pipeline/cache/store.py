"""Where a cache's bytes come from: a local folder or any address fsspec knows, opened read-only.

zarr reads a chunk that is not there as zeros. The writer stores every chunk, also those that are all
zeros, so a chunk that is not there was lost, and here that is an error.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import fsspec
import zarr
from fsspec.implementations.local import LocalFileSystem
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, LocalStore, WrapperStore

from pipeline.cache.records import array_digest
from pipeline.errors import CacheError, UsageError


class MissingChunkError(Exception):
    """A chunk that an array should have is not in the store; the message is its key."""


class _ChunkStore(WrapperStore[Store]):
    """A store in which a missing chunk raises :class:`MissingChunkError`."""

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        value = await self._store.get(key, prototype, byte_range)
        if value is None and not key.endswith("zarr.json"):
            raise MissingChunkError(key)
        return value


class CacheStore:
    """The open store of one cache.

    Attributes:
        location: a path or an fsspec URL.
        root: its zarr group.

    Raises:
        UsageError: nothing can be reached at ``location``.
        CacheError: what is there is no zarr group.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        try:
            self._files, self._path = fsspec.core.url_to_fs(location)
            store = _ChunkStore(_open(location))
            self.root: zarr.Group = zarr.open_group(store, mode="r", zarr_format=3)
        except (FileNotFoundError, KeyError, TypeError) as error:
            raise _no_cache(location, error) from None
        except ImportError as error:
            raise UsageError(f"{location}: needs another package ({first_line(error)}).") from None
        except ValueError as error:
            if "rotocol" in str(error):  # fsspec: "Protocol not known: …"
                raise UsageError(f"{location}: not an address ({first_line(error)}).") from None
            raise _no_cache(location, error) from None
        except Exception as error:  # each filesystem raises its own library's errors
            raise out_of_reach(location, error) from error

    def folders(self, path: str = "") -> list[str]:
        """Names of the folders at ``path``, hidden ones left out.

        Listed as files, not as zarr nodes: one damaged node must not hide the others.
        """
        names = [name for name, size in self._entries(path) if size is None]
        return sorted(name for name in names if not name.startswith("."))

    def sizes(self, path: str = "") -> dict[str, int]:
        """Bytes of every file below ``path``, by its name relative to it."""
        found = {}
        for name, size in self._entries(path):
            if size is None:
                inner = self.sizes(f"{path}/{name}".lstrip("/"))
                found.update({f"{name}/{below}": n for below, n in inner.items()})
            else:
                found[name] = size
        return found

    def _entries(self, path: str) -> list[tuple[str, int | None]]:
        """Name and size of all that is at ``path``, no size for folders. No such path: nothing."""
        with self._reaching():
            try:
                entries = self._files.ls(self._at(path), detail=True)
            except FileNotFoundError:
                return []
        return [
            (e["name"].rstrip("/").rpartition("/")[2], e["size"] if e["type"] == "file" else None)
            for e in entries
        ]

    def read(self, path: str) -> bytes:
        """The bytes of one file."""
        with self._reaching():
            return self._files.cat_file(self._at(path))

    def chunks(self, paths: Sequence[str]) -> list[bytes]:
        """The bytes of several files, fetched side by side where the filesystem can.

        Raises:
            MissingChunkError: one of them is not there.
        """
        places = [self._at(path) for path in paths]
        with self._reaching():
            try:
                if isinstance(self._files, LocalFileSystem):
                    return [Path(place).read_bytes() for place in places]
                found = self._files.cat_ranges(places, None, None, on_error="raise")
                for chunk in found:  # not every filesystem raises when it is asked to
                    if isinstance(chunk, BaseException):
                        raise chunk
            except FileNotFoundError as error:
                raise MissingChunkError(error.filename or first_line(error)) from None
        return found

    def array_digest(self, array: str) -> str:
        """The digest of the files of the array at this path, as the writer computes it."""
        return array_digest(self.sizes(array), lambda name: self.read(f"{array}/{name}"))

    def _at(self, path: str) -> str:
        return f"{self._path}/{path}".rstrip("/")

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except MissingChunkError:
            raise
        except Exception as error:  # each filesystem raises its own library's errors
            raise out_of_reach(self.location, error) from error


def _open(location: str) -> Store:
    if "://" in location:
        return FsspecStore.from_url(location, read_only=True)
    # Absolute: zarr 3.1 lists a store at the relative path "c" wrongly, taking every "c/" for it.
    return LocalStore(Path(location).absolute(), read_only=True)


def _no_cache(location: str, error: Exception) -> CacheError:
    return CacheError(
        f"{location}: not a pillar cache ({type(error).__name__}); "
        "make one with `dmanet-data voxelize`."
    )


def out_of_reach(location: str, error: Exception) -> CacheError:
    """What to say when a filesystem fails."""
    return CacheError(
        f"{location}: cannot be read ({first_line(error)}); check that it can be reached."
    )


def first_line(error: Exception) -> str:
    """What a library's error says, short enough for one sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
