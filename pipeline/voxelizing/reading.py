"""Read a recording's windows in order, and note which files they came from.

Shards are read one after the other, each while the one before is worked on, so that memory does not
grow with a recording's length. A file that the machine fails to read is no damaged file: it ends the
reading with the system's own error.
"""

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

from pipeline.release.opened import OpenedFile, open_events, open_labels
from pipeline.release.shards import WINDOWS_PER_SHARD, RecordingFiles, ShardFiles
from pipeline.release.windows import Window, read_window

_LARGEST_AHEAD = 24 << 20  # bytes of a shard that is read ahead; the release's mean is 9 MB


class SourceFiles:
    """Collects the identity of the files a recording was read from.

    Attributes:
        total_bytes: Their sizes so far.
    """

    def __init__(self) -> None:
        self._files: list[dict[str, Any]] = []
        self.total_bytes = 0

    def add(self, file: OpenedFile) -> None:
        """Note one file, if it was read."""
        if file.name is not None and file.size is not None and file.sha256 is not None:
            self._files.append({"name": file.name, "bytes": file.size, "sha256": file.sha256})
            self.total_bytes += file.size

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
    # Closed here and not when it is collected: an exception's traceback may keep it until a collection
    # that happens to run while some thread begins, and ending its executor then waits for ever.
    with closing(_read_ahead(files.shards) if read_ahead else _read(files.shards)) as opened:
        for shard in files.shards:
            events, labels = next(opened)
            source.add(events)
            source.add(labels)
            for member in range(WINDOWS_PER_SHARD):
                yield read_window(shard.number, member, events.content, labels.content)
            del events, labels  # before the next are opened


def _read(shards: Sequence[ShardFiles]) -> Generator[tuple[OpenedFile, OpenedFile]]:
    for shard in shards:
        yield _open_shard(shard)


def _read_ahead(shards: Sequence[ShardFiles]) -> Generator[tuple[OpenedFile, OpenedFile]]:
    """Each shard's event and label file. While one is worked on, the next is read and hashed.

    One that is much larger than a release's shards waits for its turn: two at once take too much.
    """
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        coming: list[Future[tuple[OpenedFile, OpenedFile]]] = []
        for number, shard in enumerate(shards):
            opened = coming.pop().result() if coming else _open_shard(shard)
            coming = [
                reader.submit(_open_shard, later)
                for later in shards[number + 1 : number + 2]
                if _size(later) <= _LARGEST_AHEAD
            ]
            yield opened
            del opened


def _size(shard: ShardFiles) -> int:
    return sum(path.stat().st_size for path in (shard.events, shard.labels) if path is not None)


def _open_shard(shard: ShardFiles) -> tuple[OpenedFile, OpenedFile]:
    return open_events(shard), open_labels(shard)
