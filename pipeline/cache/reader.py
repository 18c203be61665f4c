"""Reading a pillar cache: recordings, windows, and ranges of consecutive windows.

Handles open on first use and stay open. A reader may be pickled, forked, and used from several
threads: it holds no lock that a fork could copy while taken. Two threads that need the same handle
at once both open it, and one of the two is kept.
"""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache import records as layout
from pipeline.cache.attributes import (
    GROUP_FILE,
    LARGEST_GROUP_FILE,
    parse_group,
    parse_recording,
)
from pipeline.cache.chunks import read_rows
from pipeline.cache.consistency import misfit_of_pillars, misfit_of_tables
from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.places import MissingFileError, WrongFileError
from pipeline.cache.settings import CacheSettings
from pipeline.cache.store import CacheStore
from pipeline.cache.stored_array import LARGEST_ARRAY_FILE, StoredArray, parse_array
from pipeline.errors import CacheError, UsageError
from pipeline.files.documents import MalformedError
from pipeline.release.shards import SPLITS

_ID = re.compile(rf"({'|'.join(SPLITS)})/(?!\.)[^/\0]+/(?!\.)[^/\0]+")


class CachedRecording:
    """One published recording of a cache. Its tables are read on first use, its pillars on demand.

    Its length is its number of windows.

    Attributes:
        id: ``<split>/<filelist>/<recording>``.
        attributes: what it was made from, and the digests.
        sensor: (width, height) in pixels.
        encoding: how its windows were packed.

    Raises:
        UsageError: the cache lacks it.
        CacheError: it is damaged.
    """

    def __init__(self, cache: "PillarCache", recording_id: str) -> None:
        self._cache = cache
        self.id = recording_id
        self._arrays: dict[str, StoredArray] = {}
        self._tables: dict[str, np.ndarray] = {}
        self._fits = False
        try:
            self.attributes = parse_recording(cache.group(recording_id))
        except MalformedError as error:
            raise self._damaged(f"its attributes cannot be read ({error})") from None
        if (
            layout.attributes_digest(self.attributes) != self.attributes["digest"]
            or self.attributes["recording"] != recording_id
        ):
            raise self._damaged("its attributes do not match their digest or its name")
        width, height = self.attributes["sensor"]
        self.sensor: tuple[int, int] = (width, height)
        self.encoding = cache.settings.encoding(self.sensor)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._cache, self.id)

    def __len__(self) -> int:
        return self.attributes["windows"]

    @property
    def split(self) -> str:
        """``train``, ``val`` or ``test``."""
        return self.id.split("/")[0]

    def _damaged(self, what: str) -> CacheError:
        return CacheError(
            f"{self._cache.location}/{self.id}: {what}; delete this folder and run "
            "`dmanet-data voxelize` again, and `dmanet-data verify` for the others."
        )

    def _unreadable(self, array: str, error: Exception) -> CacheError:
        return self._damaged(f"the array '{array}' cannot be read ({error})")

    def array(self, name: str) -> StoredArray:
        """What the metadata of the array of this name say, see ``ARRAYS``; looked at once."""
        if name not in self._arrays:
            try:
                data = self._cache.store.read(f"{self.id}/{name}/zarr.json", LARGEST_ARRAY_FILE)
                self._arrays[name] = parse_array(data, name, self.encoding.point_dtype)
            except MissingFileError:
                raise self._damaged(f"the array '{name}' is missing") from None
            except (MalformedError, WrongFileError) as error:
                raise self._unreadable(name, error) from None
        return self._arrays[name]

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop`` (exclusive) of one array, as stored."""
        array, at = self.array(name), f"{self.id}/{name}/"
        try:
            fetch = self._cache.store.chunks
            rows = read_rows(array, lambda names: fetch([at + n for n in names]), start, stop)
        except MissingFileError as error:
            raise self._damaged(f"the array '{name}' lacks a chunk ({error})") from None
        except (ValueError, RuntimeError, WrongFileError) as error:  # RuntimeError: of the codec
            raise self._unreadable(name, error) from error
        if len(rows) != stop - start:
            raise self._damaged(f"the array '{name}' has {array.shape[0]} rows, too few")
        return rows

    def array_length(self, name: str) -> int:
        """Rows of one array, without reading them."""
        return self.array(name).shape[0]

    def table(self, name: str) -> np.ndarray:
        """One of the arrays (``windows``, ``offsets``, ``labels``, …), whole and read-only."""
        if name not in self._tables:
            rows = self.rows(name, 0, self.array_length(name))
            rows.flags.writeable = False  # all readers of this recording share it
            self._tables[name] = rows
        return self._tables[name]

    def check_tables(self) -> None:
        """Check, once, that the tables fit each other and the arrays that they index.

        Digests say only that the tables are what was written; whoever wrote them may have erred. What
        decodes pillars goes by these tables and does not look again.

        Raises:
            CacheError: they do not.
        """
        if self._fits:
            return
        misfit = misfit_of_tables(
            {name: self.table(name) for name in layout.TABLE_COLUMNS},
            {name: self.array_length(name) for name in layout.ARRAYS},
            len(self),
            self._cache.settings,
        )
        if misfit:
            raise self._damaged(misfit)
        self._fits = True

    def window_column(self, column: str) -> np.ndarray:
        """One column of the table of windows, int64 ``[W]``; see ``WINDOW_COLUMNS``."""
        return self.table("windows")[:, layout.WINDOW_COLUMNS.index(column)]

    def read(self, start: int, stop: int) -> PackedWindows:
        """Windows ``start`` to ``stop`` (exclusive).

        Raises:
            UsageError: they are out of range.
            CacheError: what is stored cannot be read.
        """
        if not 0 <= start < stop <= len(self):
            raise UsageError(
                f"{self.id}: windows {start}…{stop} asked for, it has {len(self)}; choose within."
            )
        self.check_tables()
        offsets = self.table("offsets")[2 * start : 2 * stop + 1]
        (p0, q0), (p1, q1) = offsets[0], offsets[-1]
        k0, k1 = self.table("label_offsets")[[start, stop], 1]
        labels = self.table("labels")[k0:k1]
        pillars, points = self.rows("pillars", p0, p1), self.rows("points", q0, q1)
        misfit = misfit_of_pillars(pillars, offsets - offsets[0], self.encoding.settings)
        if misfit:
            raise self._damaged(f"in windows {start}…{stop} {misfit}")
        return PackedWindows(
            recording=self.id,
            first=start,
            encoding=self.encoding,
            pillars=pillars,
            points=points,
            offsets=offsets - offsets[0],
            spans=self.window_column("span")[start:stop],
            t_start=self.window_column("t_start")[start:stop],
            starts=self.window_column("starts")[start:stop] != 0,
            boxes=labels[:, 1:5].astype(np.float32),
            classes=labels[:, 5].astype(np.int64),
            box_window=labels[:, 0].astype(np.int64) - start,
            tracks=labels[:, 6].astype(np.int64),
        )


class PillarCache:
    """A pillar cache opened for reading, from a local path or an fsspec URL. Nothing is written.

    Args:
        location: a path or an address with ``://``.
        settings: those a program relies on; a cache that has others is refused.

    Attributes:
        location: as given, a string.
        attributes: of the root: format, versions, settings, fingerprint.
        settings: that the cache was made with.

    Raises:
        UsageError: there is nothing at ``location``.
        CacheError: it is not a cache this release reads, or has other settings.
    """

    def __init__(self, location: str | Path, settings: CacheSettings | None = None) -> None:
        self.location = str(location)
        if "://" not in self.location and not Path(self.location).exists():
            raise UsageError(f"{location}: no such cache; make one with `dmanet-data voxelize`.")
        self._process = os.getpid()
        self._store = CacheStore(self.location)
        self._recordings: dict[str, CachedRecording] = {}
        self._ids: tuple[str, ...] | None = None
        self.attributes = self._root_attributes()
        self.settings = layout.settings_of(self.attributes, self.location)
        if settings is not None:
            layout.check_identity(self.attributes, settings, self.location)

    def __getstate__(self) -> dict[str, Any]:
        return {"location": self.location}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["location"])  # type: ignore[misc]

    @property
    def store(self) -> CacheStore:
        """The files behind the cache, opened anew in a forked child."""
        if self._process != os.getpid():
            self._store = CacheStore(self.location)
            self._process = os.getpid()
        return self._store

    def _root_attributes(self) -> dict[str, Any]:
        try:
            return parse_group(self.store.read(GROUP_FILE, LARGEST_GROUP_FILE))
        except MissingFileError:
            why = "it has no zarr.json"
        except (MalformedError, WrongFileError) as error:
            why = f"its zarr.json cannot be read: {str(error).rstrip('.')}"
        raise CacheError(
            f"{self.location}: not a pillar cache ({why}); make one with `dmanet-data voxelize`."
        )

    def group(self, recording_id: str) -> dict[str, Any]:
        """The attributes of one recording's group, as they stand.

        Raises:
            UsageError: the cache lacks it.
            CacheError: it is damaged.
        """
        where = f"{self.location}/{recording_id}"
        try:
            if not _ID.fullmatch(recording_id):
                raise MissingFileError(recording_id)
            return parse_group(self.store.read(f"{recording_id}/{GROUP_FILE}", LARGEST_GROUP_FILE))
        except MissingFileError:
            raise UsageError(
                f"{self.location}: holds no recording '{recording_id}'; "
                "`dmanet-data info --json` lists them."
            ) from None
        except (MalformedError, WrongFileError) as error:
            raise CacheError(
                f"{where}: its zarr.json cannot be read ({str(error).rstrip('.')}); delete the "
                "folder and run `dmanet-data voxelize` again."
            ) from None

    @property
    def recording_ids(self) -> tuple[str, ...]:
        """Every published recording, sorted; those of train first, then val, then test."""
        if self._ids is None:
            store = self.store
            found = [
                f"{split}/{filelist}/{name}"
                for split in store.folders()
                for filelist in store.folders(split)
                for name in store.folders(f"{split}/{filelist}")
            ]
            order = {"train": 0, "val": 1, "test": 2}
            self._ids = tuple(sorted(found, key=lambda key: (order.get(key.split("/")[0], 3), key)))
        return self._ids

    def recordings(self, split: str | None = None) -> list[CachedRecording]:
        """Recordings of one split, or all of them."""
        return [
            self.recording(key)
            for key in self.recording_ids
            if split is None or key.startswith(f"{split}/")
        ]

    def recording(self, recording_id: str) -> CachedRecording:
        """One recording by its id.

        Raises:
            UsageError: the cache lacks it.
            CacheError: it is damaged.
        """
        if recording_id not in self._recordings:
            self._recordings.setdefault(recording_id, CachedRecording(self, recording_id))
        return self._recordings[recording_id]
