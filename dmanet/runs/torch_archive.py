"""The zip archives that ``torch.save`` writes: what they hold, every claim checked against the file.

Read without torch, whose own reader checks no CRC-32, inflates whatever was compressed and takes a
tensor's shape as it comes, however little stands behind it. Records must be stored as they are, so that
all of them together are no longer than the file.
"""

import errno
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmanet.runs.pickled_names import foreign_names, foreign_names_of
from dmanet.runs.plain_pickle import PlainPickleError, Storage, read_plain_pickle
from pipeline.errors import CheckpointError, UsageError
from pipeline.files.inputs import open_regular

LARGEST_INDEX = (
    16 << 20
)  # bytes of the pickle that names everything; a run on 10 000 recordings has 2 MB
_PIECE = 16 << 20  # bytes read at a time
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class TorchArchive:
    """An open file of ``torch.save``.

    Attributes:
        content: plain values; each tensor is a :class:`~dmanet.runs.plain_pickle.StoredTensor`.
    """

    content: Any
    _zip: zipfile.ZipFile
    _folder: str

    def read(self, storage: Storage) -> bytearray:
        """The bytes of a storage, CRC-32 checked.

        Raises:
            PlainPickleError: the record is missing or has another length.
            zipfile.BadZipFile: it is damaged.
        """
        try:
            record = self._zip.getinfo(f"{self._folder}data/{storage.record}")
        except KeyError:
            raise PlainPickleError(f"it lacks the record {storage.record!r}") from None
        if record.file_size != storage.size:
            raise PlainPickleError(f"the record {storage.record!r} has another length than it says")
        return _read(self._zip, record)


@contextmanager
def opened_archive(path: Path) -> Iterator[TorchArchive]:
    """Open a file that ``torch.save`` wrote.

    Raises:
        UsageError: there is no such file, or it is no regular one.
        CheckpointError: it is damaged, is something else, or holds more than plain data; also from
            within the block, for what :meth:`TorchArchive.read` raises.
        OSError: it cannot be read.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise UsageError(
            f"{path}: no such checkpoint; give a file that `dmanet train` wrote."
        ) from None
    with file:
        if file.read(len(_ZIP)) != _ZIP:
            raise _not_an_archive(path)
        size = file.seek(0, 2)
        try:
            with zipfile.ZipFile(file) as archive:
                folder = _check_records(archive, size)
                index = _read(archive, archive.getinfo(f"{folder}data.pkl"))
                yield TorchArchive(_content(bytes(index), path), archive, folder)
        except PlainPickleError as error:
            raise _unreadable(path, str(error)) from None
        except OSError as error:
            if error.errno not in (None, errno.EINVAL):  # a seek to where no file can be
                raise
            raise _unreadable(path, "it is no whole archive") from None
        except (
            zipfile.BadZipFile,
            ValueError,
            KeyError,
            EOFError,
            OverflowError,
            RuntimeError,
            NotImplementedError,
            struct.error,
        ) as error:
            reason = "bad CRC-32" if "CRC" in str(error) else "it is no whole archive"
            raise _unreadable(path, reason) from None


def check_archive(path: Path) -> None:
    """Check that ``torch.save`` wrote a file, of plain data; raises as :func:`opened_archive`."""
    with opened_archive(path):
        pass


def _content(index: bytes, path: Path) -> Any:
    try:
        return read_plain_pickle(index)
    except PlainPickleError:
        if foreign := foreign_names_of(index):
            raise _unsafe(path, foreign) from None
        raise


def _check_records(archive: zipfile.ZipFile, size: int) -> str:
    """Check every record's claims; the folder that all of them are in, with its slash."""
    records = archive.infolist()
    names = {record.filename for record in records}
    if len(names) < len(records):
        raise PlainPickleError("it has two records of one name")
    if sum(record.file_size for record in records) > size:
        raise PlainPickleError("its records claim to be longer than the file")
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise PlainPickleError("its records are compressed, which torch never does")
    folders = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(folders) != 1:
        raise PlainPickleError("it lacks torch's index, data.pkl")
    folder = folders[0]
    if archive.getinfo(f"{folder}data.pkl").file_size > LARGEST_INDEX:
        raise PlainPickleError(f"its index is longer than {LARGEST_INDEX} bytes")
    order = f"{folder}byteorder"
    if order in names:
        record = archive.getinfo(order)
        if record.file_size > 6 or bytes(_read(archive, record)) != b"little":
            raise PlainPickleError("its numbers are not little-endian")
    return folder


def _read(archive: zipfile.ZipFile, record: zipfile.ZipInfo) -> bytearray:
    """All bytes of a record; at its end zipfile checks the CRC-32."""
    data = bytearray(record.file_size)
    with archive.open(record) as file:
        done = 0
        while piece := file.read(min(_PIECE, len(data) - done) or 1):
            data[done : done + len(piece)] = piece
            done += len(piece)
    if done != record.file_size:
        raise EOFError
    return data


def _not_an_archive(path: Path) -> CheckpointError:
    if foreign := foreign_names(path):
        return _unsafe(path, foreign)
    return _unreadable(path, "it is no zip archive, as torch writes since 1.6")


def _unsafe(path: Path, foreign: list[str]) -> CheckpointError:
    return CheckpointError(
        f"{path}: holds Python objects that could run code when loaded "
        f"({', '.join(foreign[:5])}{', …' if len(foreign) > 5 else ''}); it was not loaded, save its "
        "state dict of tensors alone."
    )


def _unreadable(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: cannot be read as a checkpoint ({reason}); it is damaged, truncated or something "
        "else, use another file."
    )
