"""Who may write a cache: one run, or several parts of one.

A run locks the file ``.building/lock`` for itself; parts (``--parts i/n``) share that lock, and each
locks a file of its own beside it, so that no part runs twice. Locks are on files, not folders,
because only those reach across the machines of a network file system; they end with their process,
however that ends. Everything a run builds is under a folder of its own in ``.building``. What killed
runs left there is cleared by the next run, or by the last part to end.
"""

import contextlib
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.cache import records as layout
from pipeline.cache.attributes import root_attributes
from pipeline.cache.build_folder import discard
from pipeline.cache.settings import CacheSettings
from pipeline.cache.writer import write_group_file
from pipeline.errors import CacheError, UsageError

_LOCK = "lock"
_PATIENCE = 5.0  # seconds: a part that starts or ends holds the whole lock for a moment
_Item = TypeVar("_Item")


class BusyError(CacheError):
    """Another process holds the place that was asked for."""


@dataclass(frozen=True)
class Part:
    """One of several processes that write one cache together.

    Attributes:
        number: of this part, from 1.
        count: parts in all.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """``3/8`` as a part.

        Raises:
            UsageError: the text is anything else.
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"'{text}' is no part; write for example 3/8, from 1/8 to 8/8.")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def share(self, items: Sequence[_Item]) -> list[_Item]:
        """Every ``count``-th item, beginning with the ``number``-th: each item is in one part."""
        return list(items[self.number - 1 :: self.count])


@contextlib.contextmanager
def open_for_writing(
    root: Path, settings: CacheSettings, part: Part | None = None
) -> Iterator[Path]:
    """Hold a writer's place in the cache at ``root``, making the cache if there is none.

    Args:
        root: folder of the cache.
        settings: that the cache has or gets.
        part: other processes may write as other parts; None writes alone.

    Yields:
        The folder to build recordings in, removed at the end.

    Raises:
        CacheError: the cache was made with other settings, or another process writes it.
        UsageError: ``root`` is something else than a cache.
    """
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root}: is a file; give a folder for the cache.")
    known = {layout.BUILDING, "zarr.json"}
    if (
        root.is_dir()
        and any(path.name not in known for path in root.iterdir())
        and not (root / "zarr.json").exists()
    ):
        raise UsageError(f"{root}: is not empty and not a cache; give another folder.")
    if (root / "zarr.json").exists():
        layout.check_identity(root_attributes(root), settings, str(root))
    is_new = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with _place(root, settings, part) as scratch:
            yield scratch
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                root.rmdir()  # succeeds only where not even the settings could be written


@contextlib.contextmanager
def _place(root: Path, settings: CacheSettings, part: Part | None) -> Iterator[Path]:
    building = root / layout.BUILDING
    lock = _lock_alone(root, settings) if part is None else _lock_together(root, settings)
    part_lock = None
    scratch = building / secrets.token_hex(8)
    try:
        layout.check_identity(root_attributes(root), settings, str(root))
        if part is not None:
            part_lock = _lock(building / f"part-{part.number}-of-{part.count}", fcntl.LOCK_EX)
            if part_lock is None:
                raise BusyError(
                    f"{root}: another process writes part {part} of this cache; "
                    "give each process a part of its own."
                )
        scratch.mkdir()
        yield scratch
    finally:
        discard(scratch)
        if part_lock is not None:
            os.close(part_lock)
        _leave(building, lock)


def _lock_alone(root: Path, settings: CacheSettings) -> int:
    """Lock the cache for this process only, clear what killed runs left, write the settings."""
    building = root / layout.BUILDING
    handle = _lock(building / _LOCK, fcntl.LOCK_EX)
    if handle is None:
        raise BusyError(
            f"{root}: another process is writing this cache; wait for it or use another folder."
        )
    try:
        _clear(building)
        if not (root / "zarr.json").exists():
            write_group_file(root, layout.describe(settings), building)
    except BaseException:
        _leave(building, handle)
        raise
    return handle


def _lock_together(root: Path, settings: CacheSettings) -> int:
    """Lock the cache as one of several parts; the first of them does what a run alone does."""
    building = root / layout.BUILDING
    give_up = time.monotonic() + _PATIENCE
    while True:
        shared = _lock(building / _LOCK, fcntl.LOCK_SH)
        if shared is not None:
            if (root / "zarr.json").exists():
                return shared
            os.close(shared)
        try:
            os.close(_lock_alone(root, settings))
        except BusyError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)


def _lock(path: Path, mode: int) -> int | None:
    """Handle of ``path``, locked; None where another process's lock forbids it."""
    while True:
        path.parent.mkdir(exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the last to leave removed the folder in between
            continue
        try:
            fcntl.flock(handle, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError as error:
            os.close(handle)
            raise CacheError(
                f"{path}: cannot be locked ({error.strerror}); put the cache on a file system "
                "with file locks."
            ) from None
        if _is_at(path, handle):
            return handle
        os.close(handle)


def _is_at(path: Path, handle: int) -> bool:
    """Is ``handle`` still the file at ``path``? The last to leave removes the file it locked."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _leave(building: Path, lock: int) -> None:
    """Give the lock back; whoever is alone by then leaves no trace in the cache."""
    with contextlib.suppress(OSError):  # other parts may be at work
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(building / _LOCK, lock):
            _clear(building)
            (building / _LOCK).unlink()
            building.rmdir()
    os.close(lock)


def _clear(building: Path) -> None:
    """Remove everything but the lock, which the caller holds alone."""
    for path in building.iterdir():
        if path.is_dir():
            discard(path)
        elif path.name != _LOCK:
            path.unlink(missing_ok=True)
