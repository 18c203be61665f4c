"""Read a recording's windows in order, and note which files they came from.

Shards are read one after the other, each while the one before is worked on, so that memory does not
grow with a recording's length. A file that the machine fails to read is no damaged file: it ends the
reading with the system's own error.
"""

import hashlib
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.defects import Defect
from pipeline.errors import ShardError
from pipeline.release.npz import NpzFile
from pipeline.release.shards import WINDOWS_PER_SHARD, RecordingFiles, ShardFiles
from pipeline.release.windows import Window, read_window


class SourceFiles:
    """Collects the identity of the files a recording was read from.

    Attributes:
        total_bytes: Their sizes so far.
    """

    def __init__(self) -> None:
        self._files: list[dict[str, Any]] = []
        self.total_bytes = 0

    def add(self, identity: dict[str, Any] | None) -> None:
        """Note one file: its ``name``, ``bytes`` and ``sha256``; ``None`` for one that is missing."""
        if identity is not None:
            self._files.append(identity)
            self.total_bytes += identity["bytes"]

    def describe(self) -> dict[str, Any]:
        """The files in the order they were read, and one digest over their names and contents."""
        names = "".join(f"{f['name']} {f['sha256']}\n" for f in self._files)
        return {"digest": hashlib.sha256(names.encode()).hexdigest(), "files": self._files}


def windows_of(
    files: RecordingFiles, source: SourceFiles, *, read_ahead: bool
) -> Generator[Window]:
    """Yield every window of a recording in order, shard by shard, with what is wrong with it.

    Args:
        files: The recording's shards.
        source: Is told of each file that was read.
        read_ahead: A second thread reads and hashes the next shard.

    Raises:
        OSError: A file cannot be read.
    """
    opened = _read_ahead(files.shards) if read_ahead else map(_open_shard, files.shards)
    for shard, (events, labels) in zip(files.shards, opened, strict=True):
        source.add(events.identity)
        source.add(labels.identity)
        for member in range(WINDOWS_PER_SHARD):
            yield read_window(shard.number, member, events.file, labels.file)


@dataclass(frozen=True)
class _OpenedFile:
    """A file of a shard, or what is wrong with it; ``identity`` names what was read, if anything."""

    file: NpzFile | ShardError
    identity: dict[str, Any] | None


def _read_ahead(shards: Sequence[ShardFiles]) -> Iterator[tuple[_OpenedFile, _OpenedFile]]:
    """Each shard's event and label file. While one is worked on, the next is read and hashed."""
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        coming = [reader.submit(_open_shard, shard) for shard in shards[:1]]
        for number in range(len(shards)):
            opened = coming.pop().result()
            coming = [
                reader.submit(_open_shard, later) for later in shards[number + 1 : number + 2]
            ]
            yield opened


def _open_shard(shard: ShardFiles) -> tuple[_OpenedFile, _OpenedFile]:
    return (
        _open(shard.events, shard, Defect.MISSING_EVENT_FILE),
        _open(shard.labels, shard, Defect.MISSING_LABEL_FILE),
    )


def _open(path: Path | None, shard: ShardFiles, missing: Defect) -> _OpenedFile:
    if path is None:
        other = shard.labels if missing is Defect.MISSING_EVENT_FILE else shard.events
        kind = "event" if missing is Defect.MISSING_EVENT_FILE else "label"
        fault = ShardError(
            f"{other}: its {kind} file with number {shard.number:03d} is missing; "
            "restore it from the release.",
            missing,
        )
        return _OpenedFile(fault, None)
    file: NpzFile | ShardError
    try:
        file = NpzFile(path)
        data = file.raw
    except ShardError as error:
        if isinstance(error.__context__, OSError):
            # The machine failed, not the data: leaving its windows out for good would be wrong.
            raise error.__context__ from None
        file, data = error, path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return _OpenedFile(file, {"name": path.name, "bytes": len(data), "sha256": digest})
