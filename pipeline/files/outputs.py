"""What may be written over: nothing, a regular file, a folder; never a device, a pipe or an address.

Commands ask before they begin to work: an output that cannot be written costs a second, not a night.
"""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import UsageError, machine_sentence
from pipeline.files.inputs import kind_of

#: Stands for standard output where a command takes a file to write.
STANDARD_OUTPUT = Path("/dev/stdout")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def check_file_output(path: Path) -> None:
    """Check that a file may be written at ``path``; folders that it lacks will be made.

    Raises:
        UsageError: something else than a regular file is there, it is an address such as ``s3://…``,
            or no file can be made there.
    """
    _check(path, "a file", stat.S_ISREG)


def check_folder_output(path: Path) -> None:
    """Check that ``path`` is a folder or can become one; the same for folders.

    Raises:
        UsageError: something else than a folder is there, it is an address, or no folder can be made
            there.
    """
    _check(path, "a folder", stat.S_ISDIR)


def require_new_folder(path: Path) -> None:
    """Check that nothing, or an empty folder, is at ``path``.

    Raises:
        UsageError: something is.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path}: exists and is not empty; give a new folder, or remove it first.")


def _check(path: Path, wanted: str, fits: Callable[[int], bool]) -> None:
    text = str(path)
    if _ADDRESS.match(text):
        raise UsageError(
            f"{text}: is an address, and this command writes only to this machine's own folders; "
            "write there and copy it."
        )
    try:
        found = _mode(path)
        if found is not None and not fits(found):
            raise UsageError(f"{path}: is {kind_of(found) or 'a file'}; give {wanted} to write.")
        _require_writable(path, found is not None and stat.S_ISDIR(found))
    except OSError as error:
        raise UsageError(machine_sentence(error, path)) from None


def _mode(path: Path) -> int | None:
    """``st_mode`` of what is at ``path``, links followed; None where nothing is."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _require_writable(path: Path, is_folder: bool) -> None:
    folder = path if is_folder else Path(os.path.realpath(path)).parent
    while (mode := _mode(folder)) is None:
        folder = folder.parent
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{folder}: is {kind_of(mode) or 'a file'}, not a folder to write in.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"{folder}: cannot be written; check its permissions, or give another place."
        )
