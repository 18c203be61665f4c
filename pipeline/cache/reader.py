"""Reading a pillar cache: recordings, windows, and ranges of consecutive windows.

Handles open on first use and stay open. A reader may be pickled, forked, and used from several
threads: it holds no lock that a fork could copy while taken. Two threads that need the same handle
at once both open it, and one of the two is kept.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr

from pipeline.cache import records as layout
from pipeline.cache.chunks import has_plain_chunks, read_rows
from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.store import CacheStore, MissingChunkError, first_line, out_of_reach
from pipeline.errors import CacheError, PipelineError, UsageError


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
        self._process = os.getpid()
        self._group = cache.group(recording_id)
        self._arrays: dict[str, zarr.Array] = {}
        self._tables: dict[str, np.ndarray] = {}
        self.attributes = cast(layout.RecordingAttributes, dict(self._group.attrs))
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
        return self._damaged(f"the array '{array}' cannot be read ({first_line(error)})")

    def array(self, name: str) -> zarr.Array:
        """The zarr array of this name, see ``ARRAYS``; opened once."""
        if self._process != os.getpid():  # a forked child must not use its parent's connections
            self._group, self._arrays = self._cache.group(self.id), {}
            self._process = os.getpid()
        if name not in self._arrays:
            try:
                found = self._group.get(name)
            except PipelineError:
                raise
            except Exception as error:  # zarr's own for a zarr.json, the filesystem's for the rest
                raise self._unreadable(name, error) from error
            if not isinstance(found, zarr.Array):
                raise self._damaged(f"the array '{name}' is missing")
            self._arrays[name] = found
        return self._arrays[name]

    def _read(self, name: str, start: int, stop: int) -> np.ndarray:
        array = self.array(name)
        try:
            if has_plain_chunks(array):
                rows = read_rows(array, lambda names: self._chunks(name, names), start, stop)
            else:
                rows = np.asarray(array[start:stop])
        except MissingChunkError as error:
            raise self._damaged(f"the array '{name}' lacks a chunk ({error})") from None
        except PipelineError:
            raise
        except Exception as error:  # the codecs raise whatever their C libraries tell them
            raise self._unreadable(name, error) from error
        if len(rows) != stop - start:
            raise self._damaged(f"the array '{name}' has {array.shape[0]} rows, too few")
        return rows

    def _chunks(self, name: str, chunks: Sequence[str]) -> list[bytes]:
        return self._cache.store.chunks([f"{self.id}/{name}/{chunk}" for chunk in chunks])

    def array_length(self, name: str) -> int:
        """Rows of one array, without reading them."""
        return int(self.array(name).shape[0])

    def table(self, name: str) -> np.ndarray:
        """One of the small arrays (``windows``, ``offsets``, ``labels``, …), whole and read-only."""
        if name not in self._tables:
            rows = self._read(name, 0, self.array_length(name))
            rows.flags.writeable = False  # all readers of this recording share it
            self._tables[name] = rows
        return self._tables[name]

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
        offsets = self.table("offsets")[2 * start : 2 * stop + 1]
        (p0, q0), (p1, q1) = offsets[0], offsets[-1]
        k0, k1 = self.table("label_offsets")[[start, stop], 1]
        labels = self.table("labels")[k0:k1]
        return PackedWindows(
            recording=self.id,
            first=start,
            encoding=self.encoding,
            pillars=self._read("pillars", p0, p1),
            points=self._read("points", q0, q1),
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
        settings: that the cache was made with.

    Raises:
        UsageError: there is nothing at ``location``.
        CacheError: it is not a cache this release reads, or has other settings.
    """

    def __init__(self, location: str | Path, settings: layout.CacheSettings | None = None) -> None:
        self.location = str(location)
        if "://" not in self.location and not Path(self.location).exists():
            raise UsageError(f"{location}: no such cache; make one with `dmanet-data voxelize`.")
        self._process = os.getpid()
        self._store = CacheStore(self.location)
        self._recordings: dict[str, CachedRecording] = {}
        self._ids: tuple[str, ...] | None = None
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

    @property
    def attributes(self) -> dict[str, Any]:
        """Root attributes: format, versions, settings, fingerprint."""
        return dict(self.store.root.attrs)

    def group(self, recording_id: str) -> zarr.Group:
        """The zarr group of one recording, opened anew.

        Raises:
            UsageError: the cache lacks it.
            CacheError: it is damaged.
        """
        where = f"{self.location}/{recording_id}"
        try:
            group = self.store.root.get(recording_id)
        except PipelineError:
            raise
        except OSError as error:  # the filesystem's own
            raise out_of_reach(where, error) from error
        except Exception as error:  # a zarr.json that is no longer one
            raise CacheError(
                f"{where}: its zarr.json cannot be read ({first_line(error)}); delete the folder "
                "and run `dmanet-data voxelize` again."
            ) from error
        if not isinstance(group, zarr.Group) or "digests" not in group.attrs:
            raise UsageError(
                f"{self.location}: holds no recording '{recording_id}'; "
                "`dmanet-data info --json` lists them."
            )
        return group

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
