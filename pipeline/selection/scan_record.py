"""What a scan has read of each recording, kept beside the manifest: the next reads only what changed.

A line of JSON for each recording is added as soon as it is scanned, so that a scan that was killed goes
on where it was. A recording counts as unchanged where both files of each of its shards have the same
size, time of modification, time of change and inode. A program may set the time of modification back;
the time of change is the kernel's own, and every write, rename or copy moves it. A file that was written
within the last two seconds before it was looked at may be written again within the same tick of the
clock: it is read again next time. A recording's clock, and the tracks of its boxes, run on from shard to
shard: where one changed, all are read again.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from io import BufferedRandom
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import UsageError
from pipeline.files.documents import LARGEST_DOCUMENT
from pipeline.files.inputs import kind_of
from pipeline.files.whole import written_whole
from pipeline.release.shards import ShardFiles
from pipeline.selection.entries import STRICT, LabelCheckEntry
from pipeline.selection.shard_scan import ShardScan

_FORMAT = "dmanet-scan-record"
_VERSION = 2  # 1 lacks the motion of boxes
_SETTLED = 2_000_000_000  # ns


class FileStamp(NamedTuple):
    """What the system says of a file: another content has another stamp."""

    size: int
    modified_ns: int
    changed_ns: int
    inode: int


@dataclass(frozen=True)
class Stamps:
    """Of a shard's two files, ``None`` for one that is missing.

    Attributes:
        events: Of the event file.
        labels: Of the label file.
        is_settled: Both were written well before they were looked at.
    """

    __pydantic_config__ = STRICT

    events: FileStamp | None
    labels: FileStamp | None
    is_settled: bool


def stamps_of(files: ShardFiles) -> Stamps:
    """Look at a shard's files, before they are read.

    Raises:
        OSError: The machine will not say what a file is.
    """
    now = time.time_ns()
    events, labels = _stamp(files.events), _stamp(files.labels)
    latest = max(
        (max(s.modified_ns, s.changed_ns) for s in (events, labels) if s is not None), default=0
    )
    return Stamps(events, labels, latest < now - _SETTLED)


def _stamp(path: Path | None) -> FileStamp | None:
    if path is None:
        return None
    status = os.stat(path)
    return FileStamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(frozen=True)
class KeptShard:
    """What was read of a shard, and the stamps of its files when they were read."""

    __pydantic_config__ = STRICT

    stamps: Stamps
    scan: ShardScan

    def is_of(self, number: int, stamps: Stamps) -> bool:
        """Whether a shard of this number and with these stamps would be read as the same."""
        known = self.stamps
        return (
            known.is_settled
            and self.scan.number == number
            and (known.events, known.labels) == (stamps.events, stamps.labels)
        )


@dataclass(frozen=True)
class KeptRecording:
    """What was read of a recording, by its id and the sensor its boxes were judged by.

    Attributes:
        id: ``split/filelist/name``.
        sensor: Width and height in pixels.
        shards: In the order of their numbers.
        checks: What a look at the boxes gave.
    """

    __pydantic_config__ = STRICT

    id: str
    sensor: tuple[int, int]
    shards: tuple[KeptShard, ...]
    checks: LabelCheckEntry

    def is_of(self, shards: Sequence[ShardFiles], stamps: Sequence[Stamps]) -> bool:
        """Whether these shards, all of the recording's, would be read as the same."""
        return len(self.shards) == len(shards) and all(
            kept.is_of(files.number, stamp)
            for kept, files, stamp in zip(self.shards, shards, stamps, strict=True)
        )


_ADAPTER = TypeAdapter(KeptRecording)


class ScanRecord:
    """The file, open for one scan.

    Args:
        path: Of the file; it need not be there.
        labels_only: Event files are not read.
        criteria: Whatever else decides what a shard is found to hold. A record of other criteria, or
            of another release of this software, is begun anew.

    Raises:
        UsageError: It is another file, damaged, or in use by another scan.
        OSError: The machine fails to read or write it.
    """

    def __init__(self, path: Path, labels_only: bool, criteria: Mapping[str, Any]) -> None:
        self._path = path
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "created_with": f"dmanet-events {version('dmanet-events')}",
            "labels_only": labels_only,
            **criteria,
        }
        self._header = json.dumps(header).encode() + b"\n"
        self._known: dict[str, KeptRecording] = {}
        self._lines: dict[str, bytes] = {}
        self._has_changed = False

    def __enter__(self) -> "ScanRecord":
        self._file = self._opened()
        try:
            self._lock()
            data = self._file.read()
            if not data.startswith(self._header):
                self._require_format(data)
                data = self._header
                self._file.seek(0)
                self._file.write(data)
            # What a killed scan left behind of its last line is written over.
            whole = data[: data.rfind(b"\n") + 1]
            self._read(whole[len(self._header) :])
            self._file.truncate(len(whole))
            self._file.seek(len(whole))
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _opened(self) -> BufferedRandom:
        """The file, new and empty where there was none; nothing else than a file is touched."""
        with contextlib.suppress(FileNotFoundError):
            self._require_file(os.stat(self._path))
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        try:
            self._require_file(os.fstat(handle))
            return os.fdopen(handle, "r+b")
        except BaseException:
            os.close(handle)
            raise

    def _require_file(self, status: os.stat_result) -> None:
        if kind_of(status.st_mode) is not None or status.st_size > LARGEST_DOCUMENT:
            raise self._foreign()

    def _require_format(self, data: bytes) -> None:
        begin = self._header[: self._header.index(b",")]
        if not (data.startswith(begin) or begin.startswith(data)):  # killed in its first line
            raise self._foreign()

    def _foreign(self) -> UsageError:
        return UsageError(
            f"{self._path}: stands where the record of a scan belongs, and is none; move it away."
        )

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{self._path}: another scan is writing it; wait for its end, or write another "
                "manifest."
            ) from None

    def _read(self, lines: bytes) -> None:
        for number, line in enumerate(lines.splitlines(), start=2):
            try:
                recording = _ADAPTER.validate_json(line)
            except ValidationError:
                raise UsageError(
                    f"{self._path}: its line {number} is damaged; delete it, and all is read again."
                ) from None
            self._known[recording.id] = recording
            self._lines[recording.id] = line

    def known(self, recording_id: str, sensor: tuple[int, int]) -> KeptRecording | None:
        """What is known of a recording; nothing for another sensor.

        Args:
            recording_id: ``split/filelist/name``.
            sensor: Width and height in pixels.
        """
        known = self._known.get(recording_id)
        return None if known is None or known.sensor != sensor else known

    def add(self, recording: KeptRecording) -> None:
        """Write down what was read of a recording, at once."""
        line = _ADAPTER.dump_json(recording)
        self._lines[recording.id] = line
        self._has_changed = True
        self._file.write(line + b"\n")
        self._file.flush()

    def finish(self, recordings: Collection[str]) -> None:
        """Leave one line for each of these recordings, in their order; the scan is at its end."""
        kept = [key for key in recordings if key in self._lines]
        if self._has_changed or kept != list(self._lines):
            with written_whole(self._path) as unfinished, unfinished.open("wb") as file:
                file.write(self._header)
                file.writelines(self._lines[key] + b"\n" for key in kept)
