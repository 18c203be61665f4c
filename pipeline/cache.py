"""Reading a pillar cache: recordings, windows, and ranges of consecutive windows.

Handles open on first use and stay open; a reader may be pickled, forked and used from several
threads.
"""

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import zarr

from pipeline import cache_layout as layout
from pipeline.errors import CacheError, UsageError
from pipeline.pillars import PillarSettings, PillarTensors, decode_points


@dataclass(frozen=True)
class PackedWindows:
    """A range of n consecutive windows of one recording, as stored.

    ``pillars`` uint32 ``[P]`` and ``points`` ``[Q]`` are window-major, negative before positive;
    ``offsets`` int64 ``[2n+1, 2]`` gives the first pillar and point of segment ``2·window + polarity``,
    counted from this range's begin. ``spans`` int64 ``[n]`` µs; ``t_start`` int64 ``[n]`` µs;
    ``starts`` bool ``[n]``: the window does not follow the one before it. ``boxes`` float32 ``[K, 4]``
    (x1, y1, x2, y2, grid units), ``classes`` int64 ``[K]``, ``box_window`` int64 ``[K]`` 0…n−1,
    ``tracks`` int64 ``[K]``.
    """

    recording: str
    first: int
    settings: PillarSettings
    pillars: np.ndarray
    points: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray
    t_start: np.ndarray
    starts: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    box_window: np.ndarray
    tracks: np.ndarray

    def __len__(self) -> int:
        return len(self.spans)

    def tensors(self, window: int, polarity: int) -> PillarTensors:
        """Decode one window (0…n−1) and polarity (0 negative, 1 positive)."""
        (p0, q0), (p1, q1) = self.offsets[2 * window + polarity : 2 * window + polarity + 2]
        return decode_points(
            self.pillars[p0:p1], self.points[q0:q1], int(self.spans[window]), self.settings
        )


class CachedRecording:
    """One published recording of a cache. Its tables are read on first use, its pillars on demand."""

    def __init__(self, group: zarr.Group, settings: layout.CacheSettings) -> None:
        self._group = group
        self._lock = threading.RLock()
        self.attributes: dict[str, Any] = dict(group.attrs)
        self.id: str = self.attributes["recording"]
        width, height = self.attributes["sensor"]
        self.sensor: tuple[int, int] = (width, height)
        self.pillar_settings = settings.pillar_settings(self.sensor)
        self._arrays: dict[str, zarr.Array] = {}
        self._tables: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return int(self.attributes["windows"])

    @property
    def split(self) -> str:
        return self.id.split("/")[0]

    def _array(self, name: str) -> zarr.Array:
        with self._lock:
            if name not in self._arrays:
                found = self._group.get(name)
                if not isinstance(found, zarr.Array):
                    raise CacheError(
                        f"{self.id}: the array '{name}' is missing from the cache; "
                        "delete the recording's folder and run `dmanet-data voxelize` again."
                    )
                self._arrays[name] = found
            return self._arrays[name]

    def _read(self, name: str, start: int, stop: int) -> np.ndarray:
        try:
            return np.asarray(self._array(name)[start:stop])
        except CacheError:
            raise
        except Exception as error:  # the codecs raise whatever their C libraries tell them
            raise CacheError(
                f"{self.id}: the array '{name}' cannot be read ({error}); run `dmanet-data verify`, "
                "delete the recording's folder and run `dmanet-data voxelize` again."
            ) from error

    def array_length(self, name: str) -> int:
        """Rows of one array, without reading them."""
        return int(self._array(name).shape[0])

    def table(self, name: str) -> np.ndarray:
        """One of the small arrays (``windows``, ``offsets``, ``labels``, …), whole."""
        with self._lock:
            if name not in self._tables:
                self._tables[name] = self._read(name, 0, self._array(name).shape[0])
            return self._tables[name]

    def window_column(self, column: str) -> np.ndarray:
        """One column of the table of windows, int64 ``[W]``; see ``WINDOW_COLUMNS``."""
        return self.table("windows")[:, layout.WINDOW_COLUMNS.index(column)]

    def read(self, start: int, stop: int) -> PackedWindows:
        """Windows ``start`` to ``stop`` (exclusive). Raises :class:`UsageError` out of range."""
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
            settings=self.pillar_settings,
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
    """A pillar cache opened for reading, from a local path or an fsspec URL.

    Raises :class:`UsageError` when there is nothing, :class:`CacheError` when it is not a cache this
    release reads.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = str(location)
        if "://" not in self.location and not Path(self.location).exists():
            raise UsageError(f"{location}: no such cache; make one with `dmanet-data voxelize`.")
        self.settings = layout.settings_of(dict(self._root.attrs), self.location)
        self._open: dict[str, CachedRecording] = {}
        self._lock = threading.Lock()

    @cached_property
    def _root(self) -> zarr.Group:
        # Absolute: zarr 3.1 lists a store at the relative path "c" wrongly, taking every "c/" for it.
        remote = "://" in self.location
        location = self.location if remote else Path(self.location).absolute()
        try:
            return zarr.open_group(location, mode="r", zarr_format=3)
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            raise CacheError(
                f"{self.location}: not a pillar cache ({type(error).__name__}); "
                "make one with `dmanet-data voxelize`."
            ) from None

    def group(self, recording_id: str) -> zarr.Group:
        """The zarr group of one recording, opened anew.

        Raises :class:`UsageError` when the cache lacks it, :class:`CacheError` when it is damaged.
        """
        missing = UsageError(
            f"{self.location}: holds no recording '{recording_id}'; `dmanet-data info` lists them."
        )
        try:
            group = self._root[recording_id]
        except KeyError:
            raise missing from None
        except (ValueError, TypeError) as error:  # a zarr.json that is no longer one
            raise CacheError(
                f"{self.location}/{recording_id}: its zarr.json is damaged ({error}); delete the "
                "folder and run `dmanet-data voxelize` again."
            ) from None
        if not isinstance(group, zarr.Group) or "digests" not in group.attrs:
            raise missing
        return group

    def __getstate__(self) -> dict[str, Any]:
        return {"location": self.location}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["location"])  # type: ignore[misc]

    @property
    def attributes(self) -> dict[str, Any]:
        """Root attributes: format, versions, settings, fingerprint."""
        return dict(self._root.attrs)

    @cached_property
    def recording_ids(self) -> tuple[str, ...]:
        """Every published recording, sorted; those of train first, then val, then test."""
        filesystem, root = fsspec.core.url_to_fs(self.location)

        def folders(path: str) -> list[str]:
            entries = filesystem.ls(path, detail=True)
            names = [e["name"].rstrip("/").split("/")[-1] for e in entries if e["type"] != "file"]
            return [name for name in names if not name.startswith(".")]

        # Listed as files, not as zarr nodes: one damaged recording must not hide the others.
        found = [
            f"{split}/{filelist}/{name}"
            for split in folders(root)
            for filelist in folders(f"{root}/{split}")
            for name in folders(f"{root}/{split}/{filelist}")
        ]
        order = {"train": 0, "val": 1, "test": 2}
        return tuple(sorted(found, key=lambda key: (order.get(key.split("/")[0], 3), key)))

    def recordings(self, split: str | None = None) -> list[CachedRecording]:
        """Recordings of one split, or all of them."""
        return [
            self.recording(key)
            for key in self.recording_ids
            if split is None or key.startswith(f"{split}/")
        ]

    def recording(self, recording_id: str) -> CachedRecording:
        """One recording by its id; raises :class:`UsageError` when the cache lacks it."""
        with self._lock:
            if recording_id not in self._open:
                self._open[recording_id] = CachedRecording(self.group(recording_id), self.settings)
            return self._open[recording_id]
