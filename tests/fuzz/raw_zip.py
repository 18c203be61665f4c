"""Zip archives written by hand, so that they can lie."""

import io
import struct
import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class RawMember:
    """One member; None stands for the truth.

    Attributes:
        name: of the member, with its ending.
        data: what it holds.
        stored: not deflated.
        method: zip's number of the compression it says it has.
        size: that it says it has, inflated.
        packed_size: that it says it has, deflated.
        crc: that it says it has.
        flags: bit 0 says encrypted.
        offset: where it says it begins.
    """

    name: bytes
    data: bytes
    stored: bool = False
    method: int | None = None
    size: int | None = None
    packed_size: int | None = None
    crc: int | None = None
    flags: int = 0
    offset: int | None = None


def raw_zip(members: list[RawMember], *, count: int | None = None, comment: bytes = b"") -> bytes:
    """An archive of ``members`` that says it has ``count`` of them."""
    out = io.BytesIO()
    directory = io.BytesIO()
    for member in members:
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        packed = member.data if member.stored else packer.compress(member.data) + packer.flush()
        method = (0 if member.stored else 8) if member.method is None else member.method
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        sizes = (
            (len(packed) if member.packed_size is None else member.packed_size) & 0xFFFFFFFF,
            (len(member.data) if member.size is None else member.size) & 0xFFFFFFFF,
        )
        place = out.tell() if member.offset is None else member.offset
        common = struct.pack("<HHHHHLLL", 20, member.flags, method, 0, 33, crc, *sizes)
        out.write(b"PK\x03\x04" + common + struct.pack("<HH", len(member.name), 0))
        out.write(member.name + packed)
        directory.write(b"PK\x01\x02" + struct.pack("<H", 20) + common)
        directory.write(
            struct.pack("<HHHHHLL", len(member.name), 0, 0, 0, 0, 0, place) + member.name
        )
    start = out.tell()
    out.write(directory.getvalue())
    number = len(members) if count is None else count
    size = len(directory.getvalue())
    out.write(
        b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, number, number, size, start, len(comment))
    )
    return out.getvalue() + comment


def npy(header: str | bytes, body: bytes = b"", *, version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy array with this header, whatever it says."""
    text = header if isinstance(header, bytes) else header.encode("utf-8", "surrogateescape")
    length = struct.pack("<H" if version[0] == 1 else "<L", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + body
