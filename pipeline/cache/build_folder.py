"""The folder in which one attempt builds one recording, until a rename publishes it.

A run may be gone while one of its tasks still works: killed while workers of a dask cluster go on,
or a worker that the scheduler took for dead. Such a task must neither mix its files with those of
the next run nor publish what the next run has cleared in part. So every attempt has a folder of its
own name, cleared by a rename before anything in it is deleted, and looks whether the folder it made
still stands there before it goes on.
"""

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path

from pipeline.errors import CacheError

_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}


class AbandonedError(CacheError):
    """The run this work belongs to has ended."""


class BuildFolder:
    """A new empty folder below ``scratch``.

    Attributes:
        path: the folder.

    Raises:
        AbandonedError: ``scratch`` is gone.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self.path = scratch / secrets.token_hex(8)
        try:
            self.path.mkdir()
        except FileNotFoundError:
            raise self._abandoned() from None
        self._published = False
        self._handle = os.open(self.path, os.O_RDONLY)  # pins the inode: no other folder gets it

    def _abandoned(self) -> AbandonedError:
        return AbandonedError(
            f"{self._scratch}: is not there; the run that made it has ended, or this worker does not "
            "see the disk the cache is on."
        )

    def _stands(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self.path))
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Check that the folder made here is still at its place.

        Raises:
            AbandonedError: it is not.
        """
        if not self._stands():
            raise self._abandoned()

    def publish(self, target: Path) -> bool:
        """Rename the folder to ``target``.

        Returns:
            False when another folder is there already.

        Raises:
            AbandonedError: the folder is no longer at its place.
        """
        self.check()
        try:
            os.rename(self.path, target)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        self._published = True
        return True

    def remove(self) -> None:
        """Leave nothing behind, unless it was published."""
        if not self._published:
            was_cleared = not self._stands()
            shutil.rmtree(self.path, ignore_errors=True)
            if was_cleared:  # writing on has made the ended run's folders anew
                for folder in (self._scratch, self._scratch.parent):
                    with contextlib.suppress(OSError):
                        folder.rmdir()
        os.close(self._handle)


def discard(folder: Path) -> None:
    """Delete a folder that someone may still be writing into: first it leaves its place."""
    away = folder.with_name(f"discarded-{secrets.token_hex(8)}")
    try:
        os.rename(folder, away)
    except FileNotFoundError:
        return
    shutil.rmtree(away, ignore_errors=True)
