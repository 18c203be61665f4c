"""A shard's two files as they are opened to be read: one by one, with what was found of each.

A file that the machine fails to read is no damaged file: the system's own error goes through, so
that nothing is recorded or published for it.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.defects import Defect
from pipeline.errors import ShardError
from pipeline.files.inputs import open_regular
from pipeline.release.npz import EVENT_BOUNDS, LABEL_BOUNDS, Bounds, NpzFile
from pipeline.release.shards import ShardFiles


@dataclass(frozen=True)
class OpenedFile:
    """One file of a shard.

    Attributes:
        content: What can be read, or why nothing can.
        name: Its name; ``None`` where there is no file.
        size: In bytes; ``None`` where there is no file.
        sha256: Its digest, in hexadecimal; ``None`` also for one that is too large to be read.
    """

    content: NpzFile | ShardError
    name: str | None = None
    size: int | None = None
    sha256: str | None = None


def open_events(shard: ShardFiles) -> OpenedFile:
    """The shard's event file.

    Raises:
        DataError: A folder, a pipe or a device is in its place.
        OSError: The machine fails to read it.
    """
    if shard.events is None:
        return _missing(shard.labels, "event", shard.number, Defect.MISSING_EVENT_FILE)
    return _open(shard.events, EVENT_BOUNDS)


def open_labels(shard: ShardFiles) -> OpenedFile:
    """The shard's label file; raises as :func:`open_events`."""
    if shard.labels is None:
        return _missing(shard.events, "label", shard.number, Defect.MISSING_LABEL_FILE)
    return _open(shard.labels, LABEL_BOUNDS)


def _missing(other: Path | None, kind: str, number: int, defect: Defect) -> OpenedFile:
    return OpenedFile(
        ShardError(
            f"{other}: its {kind} file with number {number:03d} is missing; "
            "restore it from the release.",
            defect,
        )
    )


def _open(path: Path, bounds: Bounds) -> OpenedFile:
    try:
        file = NpzFile(path, bounds)
    except ShardError as error:
        with open_regular(path) as stream:
            if error.defect is Defect.TOO_LARGE:  # it may take days to read
                return OpenedFile(error, path.name, os.fstat(stream.fileno()).st_size)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return OpenedFile(error, path.name, stream.tell(), digest)
    return OpenedFile(file, path.name, len(file.raw), hashlib.sha256(file.raw).hexdigest())
