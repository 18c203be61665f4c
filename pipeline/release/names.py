"""Names of recordings: what manifests, caches and lists for downloaders can all hold."""

import unicodedata
from pathlib import Path

from pipeline.errors import UsageError

_BREAKS = {"Cc", "Cs", "Zl", "Zp"}  # control characters, bytes that are not UTF-8, line breaks
_TAKEN = {"zarr.json"}  # a cache has files of this name beside its recordings


def require_storable(name: str, folder: Path) -> None:
    """Check that a recording, or a file list, of this name can be stored everywhere.

    Args:
        name: The name of a file or a folder, as the system gives it.
        folder: Where it is.

    Raises:
        UsageError: It is not UTF-8, has control characters or line breaks, or a cache uses it.
    """
    if name in _TAKEN or any(unicodedata.category(letter) in _BREAKS for letter in name):
        raise UsageError(
            f"{ascii(str(folder / name))[1:-1]}: this name cannot be stored in manifests and caches "
            "(not UTF-8, a control character, or in use there); rename it."
        )
