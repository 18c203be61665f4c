"""SHA-256 of a file of any size."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from pipeline.files.inputs import open_regular

_CHUNK = 1 << 20


def file_digest(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """SHA-256 in hexadecimal of the regular file at ``path``.

    Args:
        path: The file.
        on_bytes: Called with the bytes read since the last call.

    Raises:
        UsageError: It is no regular file.
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            if on_bytes is not None:
                on_bytes(len(chunk))
    return digest.hexdigest()
