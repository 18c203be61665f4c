"""Members of an npz file, inflated with ISA-L and checked against their CRC-32.

``numpy.load`` inflates with zlib through a chain of small Python reads; here a member is one slice
of the file's bytes, one inflate call and one CRC, about twice as fast, and every fault has a name.
Nothing is ever unpickled: an object array is refused.
"""

import ast
import io
import re
import struct
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from isal import isal_zlib

from pipeline.defects import Defect
from pipeline.errors import ShardError

_MAX_DEFLATE_RATIO = 1032  # no deflate stream expands further; a larger promise is damage
_InflateError = cast(type[Exception], isal_zlib.error)
_LOCAL_HEADER = struct.Struct("<4s2B4HL2L2H")  # zip local file header, 30 bytes
# The header numpy writes, version 1.0; any other form goes through numpy's own reader.
_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': ([^{}]+), 'fortran_order': (True|False), "
    rb"'shape': \(([\d, ]*)\), \} *\n",
    re.DOTALL,
)


class NpzFile:
    """One npz file held in memory, its members inflated on demand.

    Raises:
        ShardError: The file is missing, or cannot be read as a zip archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes = path.read_bytes()
        except FileNotFoundError:
            raise ShardError(
                f"{path}: the file is missing; restore it from the release.",
                Defect.MISSING_EVENT_FILE
                if path.name.startswith("ev")
                else Defect.MISSING_LABEL_FILE,
            ) from None
        except OSError as error:
            raise ShardError(
                f"{path}: cannot be read ({error.strerror}); check the disk and the permissions.",
                Defect.UNREADABLE_FILE,
            ) from None
        try:
            with zipfile.ZipFile(io.BytesIO(self._bytes)) as archive:
                self._members = {info.filename: info for info in archive.infolist()}
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
            raise ShardError(
                f"{path}: not an npz file, or truncated ({error}); download it again.",
                Defect.UNREADABLE_FILE,
            ) from None

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
            ShardError: A missing member, a bad CRC, truncated data, an object dtype.
        """
        info = self._members.get(f"{name}.npy")
        if info is None:
            raise ShardError(
                f"{self.path}: member '{name}' is missing; download the file again.",
                Defect.MISSING_MEMBER,
            )
        return self._parse(name, self._inflate(name, info))

    def _inflate(self, name: str, info: zipfile.ZipInfo) -> bytes:
        head = self._bytes[info.header_offset : info.header_offset + _LOCAL_HEADER.size]
        broken = ShardError(
            f"{self.path}: member '{name}' is damaged (its bytes do not match the stored CRC-32); "
            "download the file again.",
            Defect.BAD_CRC,
        )
        if len(head) < _LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
            raise broken
        if info.file_size > _MAX_DEFLATE_RATIO * (info.compress_size + 64):
            raise broken
        name_length, extra_length = _LOCAL_HEADER.unpack(head)[-2:]
        start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        packed = memoryview(self._bytes)[start : start + info.compress_size]
        if info.compress_type == zipfile.ZIP_DEFLATED:
            try:
                # One spare byte: a stream that inflates to more than it promised is caught below.
                data = isal_zlib.decompress(packed, wbits=-15, bufsize=info.file_size + 1)
            except _InflateError:
                raise broken from None
        elif info.compress_type == zipfile.ZIP_STORED:
            data = bytes(packed)
        else:
            raise ShardError(
                f"{self.path}: member '{name}' uses zip method {info.compress_type}; "
                "the release uses deflate, write the file again with numpy.savez_compressed.",
                Defect.UNREADABLE_FILE,
            )
        if len(data) != info.file_size or isal_zlib.crc32(data) != info.CRC:
            raise broken
        return data

    def _parse(self, name: str, data: bytes) -> np.ndarray:
        try:
            shape, fortran, dtype, offset = _array_header(data)
            if dtype.hasobject:
                raise ShardError(
                    f"{self.path}: member '{name}' holds Python objects, which are never loaded; "
                    "write it as a structured array.",
                    Defect.WRONG_DTYPE,
                )
            count = int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(data, dtype, count, offset=offset)
            return array.reshape(shape, order="F" if fortran else "C")
        except (ValueError, SyntaxError, TypeError) as error:
            raise ShardError(
                f"{self.path}: member '{name}' is not a numpy array ({error}); "
                "download the file again.",
                Defect.UNREADABLE_FILE,
            ) from None


def _array_header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, Fortran order, dtype and the data's offset.

    A shard's twenty members share one dtype, so it is parsed once: numpy's reader takes longer over
    the header than inflating a small window takes.
    """
    found = _NPY_HEADER.match(data, 0, 4096)
    if found and found.end() == 10 + int.from_bytes(data[8:10], "little"):
        shape = tuple(int(side) for side in found[3].split(b",") if side.strip())
        return shape, found[2] == b"True", _dtype(found[1]), found.end()
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)
    else:
        header = np.lib.format.read_array_header_2_0(stream)
    return *header, stream.tell()


@lru_cache(maxsize=64)
def _dtype(description: bytes) -> np.dtype:
    return np.lib.format.descr_to_dtype(ast.literal_eval(description.decode("latin1")))
