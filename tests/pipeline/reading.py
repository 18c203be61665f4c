"""What the tests of reading share: digests of windows, and a file system like one over a network."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from fsspec.asyn import AsyncFileSystem

from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.reader import CachedRecording

Range = tuple[int, int]


def digest(windows: PackedWindows) -> str:
    """sha256 over every array of some windows."""
    arrays = (value for value in vars(windows).values() if isinstance(value, np.ndarray))
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def digests(recording: CachedRecording, ranges: Iterable[Range]) -> list[str]:
    return [digest(recording.read(*r)) for r in ranges]


def put_digests(queue: Any, recording: CachedRecording, ranges: list[Range]) -> None:
    """Body of a child process."""
    queue.put(digests(recording, ranges))


class LineFileSystem(AsyncFileSystem):
    """Local files behind a connection: it is bound to its process, and it can break.

    As with a real one, using it after a fork fails, and it only knows how to read.
    """

    protocol = "line"
    is_cut: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._owner = os.getpid()

    def _line(self, path: str) -> Path:
        if self._owner != os.getpid():
            raise RuntimeError("this connection belongs to another process")
        if self.is_cut:
            raise ConnectionResetError("connection reset by peer\nat the other end")
        return Path("/" + self._strip_protocol(path).lstrip("/"))

    async def _cat_file(self, path: str, start=None, end=None, **options: Any) -> bytes:
        return self._line(path).read_bytes()[slice(start, end)]

    async def _info(self, path: str, **options: Any) -> dict[str, Any]:
        found = self._line(path)
        kind = "directory" if found.is_dir() else "file"
        return {"name": str(found).lstrip("/"), "size": found.stat().st_size, "type": kind}

    async def _ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        names = [str(found) for found in sorted(self._line(path).iterdir())]
        return [await self._info(name) for name in names] if detail else names
