"""Opening what a user names, or a folder lists, as a file: only regular files, and only as much as fits.

A pipe in the place of a file would be waited for, a device read for ever.
"""

import os
import stat
from io import BufferedReader
from pathlib import Path

from pipeline.errors import UsageError

_GROWTH = 1 << 16  # bytes read at once of a file that grows, or does not say its size
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_of(mode: int) -> str | None:
    """What a path is by its ``st_mode``, where it is no regular file; None for one."""
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def require_regular(path: str | Path) -> int:
    """Check that ``path`` is a regular file, or a link to one; its size in bytes.

    Raises:
        UsageError: it is a folder, a pipe, a socket or a device.
        OSError: it is not there, or cannot be looked at.
    """
    status = os.stat(path)
    kind = kind_of(status.st_mode)
    if kind is not None:
        raise UsageError(f"{path}: is {kind}; give a regular file.")
    return status.st_size


def open_regular(path: str | Path) -> BufferedReader:
    """``path`` opened for reading, without waiting for anyone; raises as :func:`require_regular`."""
    handle, _ = _opened(path)
    return os.fdopen(handle, "rb")


def _opened(path: str | Path) -> tuple[int, int]:
    """A handle of a regular file, and the file's bytes."""
    require_regular(path)
    # What stands there may have changed since: a pipe would still be waited for.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        kind = kind_of(status.st_mode)
        if kind is not None:
            raise UsageError(f"{path}: is {kind}; give a regular file.")
        return handle, status.st_size
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | Path, limit: int) -> bytes:
    """The bytes of a file of at most ``limit`` bytes.

    Raises:
        UsageError: it is no regular file, or larger.
        OSError: it cannot be read.
    """
    handle, size = _opened(path)
    try:
        # No more memory than the file has bytes: many are small, and their limits are not.
        data = os.read(handle, min(size, limit) + 1)
        while len(data) <= limit:
            more = os.read(handle, min(limit + 1 - len(data), max(size, _GROWTH)))
            if not more:
                break
            data += more
    finally:
        os.close(handle)
    if len(data) > limit:
        raise UsageError(
            f"{path}: is larger than the {limit} bytes that such a file may have; give another file."
        )
    return data


def read_if_any(path: Path, limit: int) -> bytes | None:
    """:func:`read_regular`; ``None`` where nothing is, not even a link to nowhere."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return None
    return read_regular(path, limit)
