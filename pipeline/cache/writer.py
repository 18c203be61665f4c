"""Writing a pillar cache: one recording at a time, built beside and published by a rename.

Killed at any moment, a writer leaves at most a folder under ``.building``, which the next one
removes; readers never look there.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import zarr

from pipeline.cache import records as layout
from pipeline.cache.attributes import (
    FoundDefects,
    RecordingAttributes,
    SourceIdentity,
    root_attributes,
)
from pipeline.cache.build_folder import BuildFolder
from pipeline.cache.columns import Column
from pipeline.cache.records import array_digest, attributes_digest
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CacheError
from pipeline.files.whole import sync, sync_tree, written_whole
from pipeline.pillars.packing import PackedWindow
from pipeline.release.labels import apply_label_rules
from pipeline.text import is_unicode

LABEL_WINDOWS = 256  # windows whose labels are collected before they are written


def write_group_file(folder: Path, attributes: Mapping[str, Any], scratch: Path) -> None:
    """Write a group's zarr.json whole or not at all; ``scratch`` is on the same disk."""
    with written_whole(folder / "zarr.json", beside=scratch) as unfinished:
        unfinished.write_bytes(layout.group_document(attributes))


class RecordingWriter:
    """Appends the windows of one recording and publishes them; a context manager.

    Built under ``scratch``, a folder of the run's own on the cache's disk. Leaving the context
    without :meth:`publish` removes what was built.

    Attributes:
        windows: appended so far.

    Raises:
        AbandonedError: the run's folder is gone; also while it appends.
        CacheError: the recording's name is not Unicode.
    """

    def __init__(
        self,
        root: Path,
        recording_id: str,
        sensor: tuple[int, int],
        settings: CacheSettings,
        scratch: Path,
    ) -> None:
        if not is_unicode(recording_id):
            raise CacheError(
                f"{recording_id}: this name's bytes are not UTF-8, so that a cache cannot hold it; "
                "rename the folder."
            )
        self._root = root
        self._id = recording_id
        self._sensor = sensor
        self._rules = settings.label_rules(sensor)
        self._scratch = scratch
        self._folder = BuildFolder(scratch)
        try:
            self._create_arrays(settings.encoding(sensor).point_dtype)
        except BaseException:
            self._folder.remove()
            raise
        self._offsets.append(np.zeros((1, 2), np.int64))
        self._label_offsets.append(np.zeros((1, 2), np.int64))
        self._ends = np.zeros((2, 2), np.int64)  # running pillar/point and raw/kept totals
        self._labels: list[np.ndarray] = []
        self._left_out: list[np.ndarray] = []  # bool [M] each: boxes that are not kept
        self._begins: list[int] = []  # of their windows, µs; -1 where it is a guess
        self.windows = 0

    def _create_arrays(self, point_dtype: np.dtype) -> None:
        folder = self._folder.path
        group = zarr.create_group(folder, zarr_format=3)
        self._pillars = Column(group, folder, "pillars", np.uint32)
        self._points = Column(group, folder, "points", point_dtype)
        self._batch_id = Column(group, folder, "batch_id", np.uint32)
        self._offsets = Column(group, folder, "offsets", np.int64, 2)
        self._windows = Column(group, folder, "windows", np.int64, len(layout.WINDOW_COLUMNS))
        self._raw = Column(group, folder, "labels_raw", np.float64, len(layout.RAW_LABEL_COLUMNS))
        self._kept = Column(group, folder, "labels", np.float64, len(layout.LABEL_COLUMNS))
        self._label_offsets = Column(group, folder, "label_offsets", np.int64, 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.remove()

    def append(
        self,
        window: PackedWindow,
        labels: np.ndarray,
        *,
        shard: int,
        member: int,
        t_start: int,
        starts: bool,
        repeated: bool = False,
        left_out: np.ndarray | None = None,
    ) -> None:
        """Add one window.

        Args:
            window: its packed pillars.
            labels: ``LABEL_DTYPE [M]`` as the release holds them.
            shard: number of the source shard.
            member: number of the window in the shard, 0…9.
            t_start: µs, the window's begin on the recording's clock.
            starts: the window does not follow the one before it.
            repeated: the pillars are those of the window before it.
            left_out: bool ``[M]``, boxes that are not kept, whatever the label rules say.
        """
        self._folder.check()
        number = self.windows
        for polarity in (0, 1):
            self._pillars.append(window.pillars[polarity])
            self._points.append(window.points[polarity])
            size = len(window.pillars[polarity])
            self._batch_id.append(np.full(size, number, np.uint32))
            self._ends[0] += size, len(window.points[polarity])
            self._offsets.append(self._ends[:1].copy())
        counts = window.counts
        row = [shard, member, t_start, window.t_first, window.span, starts]
        row += [counts.read, counts.in_range, counts.kept, counts.positive_in_range, repeated]
        self._windows.append(np.array([row], np.int64))
        self._labels.append(labels)
        self._left_out.append(np.zeros(len(labels), bool) if left_out is None else left_out)
        # A repeated window's own events could not be used: nothing says where it stands.
        self._begins.append(-1 if repeated else t_start)
        self.windows += 1
        if len(self._labels) == LABEL_WINDOWS:
            self._write_labels()

    def _write_labels(self) -> None:
        """Apply the label rules to the windows collected: many at once cost what one does."""
        sizes = [len(labels) for labels in self._labels]
        if not sizes:
            return
        labels = np.concatenate(self._labels)
        window = np.repeat(np.arange(self.windows - len(sizes), self.windows), sizes)
        raw = np.empty((len(labels), len(layout.RAW_LABEL_COLUMNS)))
        raw[:, 0] = window
        for column, name in enumerate(layout.RAW_LABEL_COLUMNS[1:], start=1):
            raw[:, column] = labels[name]
        kept = apply_label_rules(labels, self._rules, np.repeat(self._begins, sizes))
        kept = kept.without(np.concatenate(self._left_out))
        rows = np.empty((len(kept.rows), len(layout.LABEL_COLUMNS)))
        rows[:, 0] = window[kept.rows]
        rows[:, 1:5] = kept.boxes
        rows[:, 5] = kept.classes
        rows[:, 6] = labels["track_id"][kept.rows]
        rows[:, 7] = self._ends[1, 0] + kept.rows
        kept_of_window = np.bincount(
            rows[:, 0].astype(np.int64) - (self.windows - len(sizes)), minlength=len(sizes)
        )
        ends = self._ends[1] + np.cumsum(np.stack([sizes, kept_of_window], axis=1), axis=0)
        self._raw.append(raw)
        self._kept.append(rows)
        self._label_offsets.append(ends)
        self._ends[1] = ends[-1]
        self._labels, self._begins, self._left_out = [], [], []

    def publish(self, source: dict[str, Any], defects: dict[str, Any]) -> None:
        """Close the arrays, write the attributes with every digest, sync, and rename into place.

        Args:
            source: identifies the files read.
            defects: tells what was found wrong in them.

        Raises:
            CacheError: the recording stands there already with another content.
        """
        folder = self._folder.path
        self._write_labels()
        for column in (
            *(self._pillars, self._points, self._batch_id, self._offsets),
            *(self._windows, self._raw, self._kept, self._label_offsets),
        ):
            column.close()
        attributes: RecordingAttributes = {
            "recording": self._id,
            "sensor": list(self._sensor),
            "windows": self.windows,
            "source": cast(SourceIdentity, source),
            "defects": cast(FoundDefects, defects),
            "digests": {name: folder_digest(folder / name) for name in layout.ARRAYS},
            "digest": "",
        }
        attributes["digest"] = digest = attributes_digest(attributes)
        self._folder.check()
        write_group_file(folder, attributes, self._scratch)
        sync_tree(folder)
        target = self._root / self._id
        parent = self._root
        for part in self._id.split("/")[:-1]:
            parent = parent / part
            parent.mkdir(exist_ok=True)
            if not (parent / "zarr.json").exists():
                write_group_file(parent, {}, self._scratch)
                sync(parent.parent)
        # Another part of the same run, or a worker taken for dead, may have been faster.
        if not self._folder.publish(target) and root_attributes(target).get("digest") != digest:
            raise CacheError(
                f"{target}: was published meanwhile from other source files; keep the sources as "
                "they are, delete this folder and run the command again."
            )
        sync(target.parent)


def folder_digest(folder: Path) -> str:
    """The digest of the array in a folder of this machine."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in files]
    return array_digest(names, lambda name: (folder / name).read_bytes())
