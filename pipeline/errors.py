"""Errors a user can act on. Each message is one sentence: the file, what is wrong, what to do.

The command line turns a :class:`PipelineError` into that sentence and an exit code; anything else
is a defect of this software and keeps its traceback.
"""

import os

from pipeline.defects import Defect


class PipelineError(Exception):
    """Base of every error this project raises on purpose.

    ``exit_code`` is what the command line ends with.
    """

    exit_code = 1


class UsageError(PipelineError):
    """The request itself cannot be met: a missing folder, a wrong option, too small a budget."""

    exit_code = 2


class DataError(PipelineError):
    """A file that was asked for is there, but what it holds is wrong."""


class ShardError(DataError):
    """A shard or one of its members cannot be read: not npz, truncated, bad CRC, wrong dtype.

    ``defect`` names the fault in the vocabulary of :mod:`pipeline.defects`.
    """

    def __init__(self, message: str, defect: Defect) -> None:
        super().__init__(message)
        self.defect = defect

    def __reduce__(self) -> tuple[type["ShardError"], tuple[str, Defect]]:
        return type(self), (str(self), self.defect)  # so that it crosses process borders whole


class RecordingError(DataError):
    """A raw recording (DAT, HDF5, box file) cannot be read."""


class ManifestError(DataError):
    """A manifest is malformed, of another version, or does not match the files on disk."""


class CacheError(DataError):
    """A pillar cache is damaged, incomplete, or was made with other settings."""


class SettingsError(UsageError):
    """A setting is unknown, has the wrong type, or contradicts another."""


class CheckpointError(DataError):
    """A checkpoint is damaged, unsafe to load, or belongs to another architecture."""


def machine_sentence(error: OSError, path: os.PathLike[str] | str | None = None) -> str:
    """What the system says of a file, as one sentence: a full disk, a missing permission, anything.

    Args:
        error: raised by the system, so that it has an ``errno``.
        path: what was worked on, where the error does not name it.
    """
    named = path if error.filename is None else error.filename
    where = "" if named is None or isinstance(named, int) else f"{os.fsdecode(named)}: "
    if error.filename2 is not None:  # a copy, a link or a rename
        where = f"{os.fsdecode(error.filename)} to {os.fsdecode(error.filename2)}: "
    return f"{where}{error.strerror or type(error).__name__}."
