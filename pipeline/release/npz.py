"""Members of an npz file, inflated with ISA-L and checked against their CRC-32.

``numpy.load`` inflates with zlib through a chain of small Python reads; here a member is one slice
of the file's bytes, one inflate call and one CRC, about twice as fast, and every fault has a name.
What a file claims is checked before memory is given to it, and nothing is ever unpickled.
"""

import os
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from isal import isal_zlib

from pipeline.defects import Defect
from pipeline.errors import DataError, ShardError, UsageError
from pipeline.files.inputs import open_regular
from pipeline.release.npy import ElementTypeError, NpyError, parse_array
from pipeline.release.zip_directory import Member, ZipError, packed_bytes, read_directory

_MAX_DEFLATE_RATIO = 1032  # no deflate stream expands further; a larger promise is damage
_InflateError = cast(type[Exception], isal_zlib.error)


@dataclass(frozen=True)
class Bounds:
    """How much memory a file may take.

    Attributes:
        file: Bytes of the file, which is held whole.
        member: Bytes of one inflated member; one is held at a time.
    """

    file: int
    member: int


#: Ten times the release's mean shard, and windows of three million events in integers of 32 bits.
EVENT_BOUNDS = Bounds(file=96 << 20, member=48 << 20)
#: Windows of many thousand boxes.
LABEL_BOUNDS = Bounds(file=16 << 20, member=1 << 20)


class NpzFile:
    """One npz file held in memory, its members inflated on demand.

    Args:
        path: The file.
        bounds: How much memory it may take; :data:`EVENT_BOUNDS` and :data:`LABEL_BOUNDS` together
            keep `scan` and `voxelize` below 500 MB a process, whatever a file claims.

    Raises:
        ShardError: It is no zip archive of a few members, or too large.
        DataError: It is a folder, a pipe or a device.
        OSError: The machine fails to read it.
    """

    def __init__(self, path: Path, bounds: Bounds = EVENT_BOUNDS) -> None:
        self.path = path
        self._bounds = bounds
        self._bytes = _read(path, bounds.file)
        try:
            found = read_directory(self._bytes)
        except ZipError as error:
            raise ShardError(
                f"{path}: not an npz file, or truncated ({error}); download it again.",
                Defect.UNREADABLE_FILE,
            ) from None
        self._times = Counter(member.name for member in found)
        self._members = {member.name: member for member in found}

    @property
    def raw(self) -> bytes:
        """The file's bytes, for a digest."""
        return self._bytes

    def names(self) -> list[str]:
        """Array names in file order, without the ``.npy`` ending."""
        return [name.removesuffix(".npy") for name in self._members]

    def read(self, name: str) -> np.ndarray:
        """Inflate the array ``name``; the result is read-only.

        Raises:
            ShardError: A member that is missing, there twice, too large or damaged, or no array of
                numbers.
        """
        file_name = f"{name}.npy"
        member = self._members.get(file_name)
        if member is None:
            raise self._fault(name, "is missing; download the file again", Defect.MISSING_MEMBER)
        if self._times[file_name] > 1:
            raise self._fault(
                name,
                f"is there {self._times[file_name]} times, and nothing says which one counts; "
                "write the file again",
                Defect.DUPLICATE_MEMBER,
            )
        try:
            return parse_array(self._inflate(name, member))
        except ElementTypeError as error:
            raise self._fault(
                name, f"holds no events or boxes: {error}; write it again", Defect.WRONG_DTYPE
            ) from None
        except NpyError as error:
            raise self._fault(
                name,
                f"is not a numpy array ({error}); download the file again",
                Defect.UNREADABLE_FILE,
            ) from None

    def _inflate(self, name: str, member: Member) -> bytes:
        if member.size > self._bounds.member:
            raise self._fault(
                name,
                f"claims {member.size} bytes, and a window may have {self._bounds.member}; "
                "download the file again, or write it with shorter windows",
                Defect.TOO_LARGE,
            )
        if member.is_encrypted or member.method not in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            way = "is encrypted" if member.is_encrypted else f"uses zip method {member.method}"
            raise self._fault(
                name,
                f"{way}; the release uses deflate, write the file again with "
                "numpy.savez_compressed",
                Defect.UNREADABLE_FILE,
            )
        if member.size > _MAX_DEFLATE_RATIO * (member.packed_size + 64):
            raise self._broken(name)
        try:
            packed = packed_bytes(self._bytes, member)
            if member.method == zipfile.ZIP_DEFLATED:
                # One spare byte: a stream that holds more than it promised is caught below, and is
                # not inflated further.
                stream = isal_zlib.decompressobj(wbits=-15)
                data = stream.decompress(packed, member.size + 1)
            else:
                data = bytes(packed)
        except (ZipError, _InflateError):
            raise self._broken(name) from None
        if len(data) != member.size or isal_zlib.crc32(data) != member.crc:
            raise self._broken(name)
        return data

    def _broken(self, name: str) -> ShardError:
        return self._fault(
            name,
            "is damaged (its bytes do not match the stored CRC-32); download the file again",
            Defect.BAD_CRC,
        )

    def _fault(self, name: str, sentence: str, defect: Defect) -> ShardError:
        return ShardError(f"{self.path}: member '{name}' {sentence}.", defect)


def _read(path: Path, limit: int) -> bytes:
    """The file's bytes, at most ``limit``."""
    try:
        file = open_regular(path)
    except UsageError:
        # No damaged file: somebody put it there, and may take it away again.
        raise DataError(
            f"{path}: is a folder, a pipe or a device where a shard's file belongs; restore the file "
            "from the release."
        ) from None
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise ShardError(
                f"{path}: has {size} bytes, and a shard's file may have {limit}; download it again, or "
                "write it as several shards.",
                Defect.TOO_LARGE,
            )
        return file.read(size)
