"""Data sets of an HDF5 file that it holds itself, in chunks of bounded size."""

import math
from pathlib import Path
from typing import Any

import h5py

from pipeline.errors import RecordingError

_LARGEST_CHUNK = 32 << 20  # bytes; those of four columns are held at a time
#: What h5py raises for damage. An OSError with a number is the machine's own.
HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError)


def own_data(file: h5py.File, name: str, path: Path) -> Any:
    """A data set of this file that takes bounded memory to read; None where there is none.

    Raises:
        RecordingError: its content is in other files or not there, or its chunks are too large.
    """
    parent: h5py.Group = file
    *folders, last = name.split("/")
    for folder in folders:
        found = _own(parent, folder, path)
        if not isinstance(found, h5py.Group):
            return None
        parent = found
    data = _own(parent, last, path)
    if not isinstance(data, h5py.Dataset):
        return None
    if data.is_virtual or data.external:
        raise RecordingError(
            f"{path}: {name} reads other files; write a file that holds its own events."
        )
    chunk = math.prod(data.chunks or ()) * data.dtype.itemsize
    if chunk > _LARGEST_CHUNK:
        raise RecordingError(
            f"{path}: {name} has chunks of {chunk} bytes, and may have {_LARGEST_CHUNK}; write it "
            "again with smaller ones."
        )
    if data.size:
        held = data.id.get_num_chunks() if data.chunks else data.id.get_storage_size()
        needed = -(-data.size // math.prod(data.chunks)) if data.chunks else data.nbytes
        if held < needed:  # what is not there would be read as zeros, however many
            raise RecordingError(
                f"{path}: {name} claims {data.size} values and does not hold them; download it again."
            )
    return data


def _own(group: h5py.Group, name: str, path: Path) -> Any:
    """What a group holds itself under a name; links are looked at before anything follows them."""
    links, key = group.id.links, name.encode()
    if not links.exists(key):
        return None
    if links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise RecordingError(
            f"{path}: {name} is a link to somewhere else; write a file that holds its own events."
        )
    return group[name]
