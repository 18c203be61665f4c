"""The manifest: one readable JSON file that says what a release, or a subset of it, holds.

``data_manifests/README.md`` documents every field. The bytes depend on nothing but the content and
on where the release lies relative to the file: no time of day, no absolute path.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.defects import Defect
from pipeline.errors import ManifestError, SettingsError, UsageError
from pipeline.files.documents import LARGEST_DOCUMENT, MalformedError, parse_json
from pipeline.files.inputs import read_regular, require_regular
from pipeline.files.outputs import STANDARD_OUTPUT
from pipeline.files.whole import written_whole
from pipeline.release.classes import DLUT, ClassMap, class_map_of
from pipeline.release.shards import RecordingFiles, ShardFiles, shard_path
from pipeline.selection.contradiction import contradiction
from pipeline.selection.entries import (
    STRICT,
    RecordingEntry,
    ShardEntry,
    SubsetProvenance,
    Totals,
)
from pipeline.selection.readable_json import readable_json
from pipeline.text import is_unicode

MANIFEST_VERSION = 1
_FORMAT = "dmanet-manifest"


@dataclass(frozen=True)
class Manifest:
    """Recordings of a release in order of split (train, val, test) and name.

    Attributes:
        root: The release's folder; in the file it is relative to the manifest's own folder.
        recordings: What each recording holds.
        labels_only: Event files were not read.
        subset: How the recordings were chosen; ``None`` for a whole release.
        class_map: What class numbers mean in the release.
    """

    root: Path
    recordings: tuple[RecordingEntry, ...]
    labels_only: bool = False
    subset: SubsetProvenance | None = None
    class_map: ClassMap = DLUT

    @cached_property
    def totals(self) -> Totals:
        """Sums over the recordings."""
        rows = self.recordings
        events = [row.events for row in rows]
        return Totals(
            recordings=len(rows),
            shards=sum(len(row.shards) for row in rows),
            bytes=sum(row.bytes for row in rows),
            windows=sum(row.windows for row in rows),
            events=None if None in events else sum(n for n in events if n is not None),
            labels=_sum_counts((row.labels for row in rows), self.class_map),
            kept=_sum_counts((row.kept for row in rows), self.class_map),
            defects=_sum_defects(row.defects for row in rows),
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, the same wherever the release and the manifest lie."""
        content = _content(self)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def split(self, name: str) -> tuple[RecordingEntry, ...]:
        """The recordings of the split ``name``."""
        return tuple(row for row in self.recordings if row.split == name)

    def recording_files(self, root: Path | None = None) -> list[RecordingFiles]:
        """Paths of every recording's files.

        Args:
            root: The release's folder; by default the manifest's own root.

        Raises:
            ManifestError: Names the first file that the manifest lists and that is missing or has
                another size.
        """
        return [self.files_of(row, root) for row in self.recordings]

    def files_of(
        self, row: RecordingEntry, root: Path | None = None, *, must_exist: bool = True
    ) -> RecordingFiles:
        """Paths of one recording's files; see :meth:`recording_files`.

        Args:
            row: The recording.
            root: The release's folder; by default the manifest's own root.
            must_exist: Look at the files and refuse those that are missing or have another size.
        """
        base = self.root if root is None else root
        shards = []
        for shard in row.shards:
            events = shard_path(base, row.id, shard.number, "events")
            labels = shard_path(base, row.id, shard.number, "labels")
            has_events = shard.event_bytes is not None or self.labels_only
            has_labels = shard.label_bytes is not None
            if has_events and must_exist:
                _require_size(events, shard.event_bytes)
            if has_labels and must_exist:
                _require_size(labels, shard.label_bytes)
            shards.append(
                ShardFiles(
                    shard.number, events if has_events else None, labels if has_labels else None
                )
            )
        split, filelist, name = row.id.split("/")
        return RecordingFiles(split, filelist, name, tuple(shards))


def _require_size(path: Path, size: int | None) -> None:
    try:
        found = require_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ManifestError(
            f"{path}: listed in the manifest but missing; "
            "restore the file, give the right root, or scan the release again."
        ) from None
    except UsageError as error:
        raise ManifestError(str(error)) from None
    if size is not None and found != size:
        raise ManifestError(
            f"{path}: has {found} bytes where the manifest says {size}; "
            "restore the file or scan the release again."
        )


def _sum_counts(rows: Iterable[Mapping[str, int]], class_map: ClassMap) -> dict[str, int]:
    total: Counter[str] = Counter(dict.fromkeys(class_map.classes, 0))
    for row in rows:
        total.update(row)
    return {name: total[name] for name in class_map.classes}


def _sum_defects(rows: Iterable[Mapping[Defect, int]]) -> dict[Defect, int]:
    total: Counter[Defect] = Counter()
    for row in rows:
        total.update(row)
    return {defect: total[defect] for defect in Defect if total[defect]}


# --- the file ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _File:
    """The file's top level, in the order of its keys."""

    __pydantic_config__ = STRICT

    format: Literal["dmanet-manifest"]
    version: Literal[1]
    created_with: str
    root: Annotated[str, Field(pattern=r"^[^\x00]+$")]
    labels_only: bool
    subset: SubsetProvenance | None
    totals: Totals
    shard_columns: tuple[str, ...]
    recordings: tuple[RecordingEntry, ...]
    class_map: dict[str, Any] | None = None


_ADAPTER = TypeAdapter(_File)


def _content(manifest: Manifest) -> dict[str, Any]:
    # The DLUT's own classes go without saying, as before there were others.
    classes = {"class_map": manifest.class_map.model_dump()} if manifest.class_map != DLUT else {}
    return {
        **classes,
        "labels_only": manifest.labels_only,
        "subset": None if manifest.subset is None else manifest.subset.content(),
        "totals": asdict(manifest.totals),
        "shard_columns": ShardEntry._fields,
        "recordings": [_row_content(row) for row in manifest.recordings],
    }


def _row_content(row: RecordingEntry) -> dict[str, Any]:
    """A recording's keys; what was not looked at is left out, as before anyone did."""
    content = asdict(row)
    if row.label_checks is None:
        del content["label_checks"]
    elif row.label_checks.motion is None:
        del content["label_checks"]["motion"]
    return content


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write the file whole or not at all; its root becomes relative to the file's folder.

    On standard output the root is relative to the working directory.

    Raises:
        ManifestError: A name is not Unicode, which JSON cannot hold.
    """
    folder = Path() if path == STANDARD_OUTPUT else path.parent
    root = os.path.relpath(manifest.root.resolve(), folder.resolve())
    for name in (root, *(row.id for row in manifest.recordings)):
        if not is_unicode(name):
            raise ManifestError(
                f"{name}: this name's bytes are not UTF-8, so that a manifest cannot hold it; rename "
                "the folder."
            )
    content = {
        "format": _FORMAT,
        "version": MANIFEST_VERSION,
        "created_with": f"dmanet-events {version('dmanet-events')}",
        "root": Path(root).as_posix(),
        **_content(manifest),
    }
    with written_whole(path) as unfinished:
        unfinished.write_text(readable_json(content) + "\n", encoding="utf-8")


def read_manifest(path: Path) -> Manifest:
    """Read the manifest at ``path``.

    Raises:
        UsageError: It is no regular file, or too large for a manifest.
        ManifestError: It is not there, of another version, has an unknown or missing field, a value
            that it cannot have, or totals that contradict the rows.
        OSError: It cannot be read.
    """
    try:
        data = read_regular(path, LARGEST_DOCUMENT)
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        top = parse_json(data)
    except MalformedError as error:
        raise ManifestError(
            f"{path}: not a manifest, {error}; make one with 'dmanet-data scan'."
        ) from None
    if not isinstance(top, dict) or top.get("format") != _FORMAT:
        raise ManifestError(f"{path}: not a manifest; make one with 'dmanet-data scan'.")
    if top.get("version") != MANIFEST_VERSION:
        raise ManifestError(
            f"{path}: manifest version {_short(top.get('version'))}, this program reads "
            f"{MANIFEST_VERSION}; scan the release again."
        )
    try:
        file = _ADAPTER.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ManifestError(
            f"{path}: malformed at '{_short(where)}' ({message}); scan the release again."
        ) from None
    try:
        class_map = DLUT if file.class_map is None else class_map_of(file.class_map, "class_map")
    except SettingsError as error:
        raise ManifestError(f"{path}: {str(error).rstrip('.')}; scan the release again.") from None
    manifest = Manifest(
        root=Path(os.path.normpath(path.parent.resolve() / file.root)),
        recordings=file.recordings,
        labels_only=file.labels_only,
        subset=file.subset,
        class_map=class_map,
    )
    found = contradiction(manifest, file.shard_columns, file.totals)
    if found:
        raise ManifestError(f"{path}: {found}; scan the release again.")
    return manifest


def _short(value: Any) -> str:
    """A value for a sentence: others choose how long it is."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
