"""Reading and writing what ``torch.save`` writes, without ever running code that a file could hold."""

from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from dmanet.runs.plain_pickle import Storage, StoredTensor
from dmanet.runs.torch_archive import TorchArchive, opened_archive


def load_plain(path: Path) -> Any:
    """Read tensors and plain containers that ``torch.save`` wrote, onto the CPU.

    No more memory is taken than the file is long.

    Raises:
        UsageError: there is no such file.
        CheckpointError: it is damaged, is something else, or holds more than plain data.
        OSError: it cannot be read.
    """
    with opened_archive(path) as archive:
        return _with_numbers(archive.content, archive, {})


def _with_numbers(value: Any, archive: TorchArchive, read: dict[Storage, Tensor]) -> Any:
    """The same value with tensors; those that shared a storage share it again."""
    if isinstance(value, StoredTensor):
        storage = value.storage
        if storage not in read:
            dtype = getattr(torch, storage.dtype)
            data = archive.read(storage)
            read[storage] = (
                torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            )
        return read[storage].as_strided(value.shape, value.stride, value.offset)
    if isinstance(value, dict):
        return {key: _with_numbers(inner, archive, read) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with_numbers(inner, archive, read) for inner in value)
    return value


def save_plain(content: Any, path: Path) -> None:
    """Write tensors and plain containers with ``torch.save``.

    Raises:
        OSError: they cannot be written.
    """
    with path.open("wb") as file:
        writer = _Writer(file)
        try:
            torch.save(content, cast(BinaryIO, writer))
        except RuntimeError:  # what torch's own writer makes of it
            if writer.error is None:
                raise
            raise writer.error from None


class _Writer:
    """A file that remembers why it could not be written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()
