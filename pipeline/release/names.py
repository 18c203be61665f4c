"""Names of recordings: what manifests, caches and lists for downloaders can all hold."""

from pathlib import Path

from pipeline.errors import UsageError

_TAKEN = {"zarr.json"}  # a cache has files of this name beside its recordings


def require_storable(name: str, folder: Path) -> None:
    """Check that a recording, or a file list, of this name can be stored everywhere.

    Args:
        name: The name of a file or a folder, as the system gives it.
        folder: Where it is.

    Raises:
        UsageError: It is not UTF-8, or a cache uses it.
    """
    if name in _TAKEN or not _is_utf8(name):
        raise UsageError(
            f"{ascii(str(folder / name))[1:-1]}: this name cannot be stored in manifests and caches "
            "(not UTF-8, or in use there); rename it."
        )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
