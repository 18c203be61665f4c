"""The directory of a zip archive in memory: who is in it, and where, as far as npz files need it.

A small archive of a few members is all that is expected; what claims more is refused before anything
is made of the claim. The directory has to end where the archive does and to begin where it says, so
that there is one way to read it.
"""

import struct
from itertools import pairwise
from typing import NamedTuple

MOST_MEMBERS = 64  # of which a shard has ten
_END = struct.Struct("<4s4H2LH")  # end of central directory, 22 bytes
_ENTRY = struct.Struct("<4s6H3L5H2L")  # central file header, 46 bytes
_LOCAL = struct.Struct("<4s5H3L2H")  # local file header, 30 bytes
_LONGEST_COMMENT = 0xFFFF
_IS_ENCRYPTED, _IS_UTF8 = 1 << 0, 1 << 11  # flags


class ZipError(ValueError):
    """Bytes that are no zip archive of a few members; part of a sentence."""


class Member(NamedTuple):
    """What the directory says of one member.

    Attributes:
        name: of its file.
        method: of its compression.
        crc: CRC-32 of its content.
        packed_size: Bytes in the archive.
        size: Bytes of its content.
        offset: Where its local header begins.
        end: Where its bytes end at the latest: where the next member's header, or the directory,
            begins.
        is_encrypted: A password is needed.
    """

    name: str
    method: int
    crc: int
    packed_size: int
    size: int
    offset: int
    end: int
    is_encrypted: bool


def read_directory(data: bytes) -> list[Member]:
    """Every member in the directory's order; a name may be there twice.

    Args:
        data: the whole archive.

    Raises:
        ZipError: it is no zip archive, is cut short, needs the zip64 extension, or claims more than
            :data:`MOST_MEMBERS`.
    """
    place = data.rfind(b"PK\x05\x06", max(0, len(data) - _END.size - _LONGEST_COMMENT))
    if place < 0 or len(data) < place + _END.size:
        raise ZipError("it has no zip directory at its end")
    _, disk, first_disk, here, count, size, begin, comment = _END.unpack_from(data, place)
    if disk or first_disk or here != count or begin + size != place:
        raise ZipError("its zip directory is not where its end says")
    if place + _END.size + comment != len(data):
        raise ZipError("there is something behind its end")
    if count > MOST_MEMBERS:
        raise ZipError(f"it claims {count} members, and may have {MOST_MEMBERS}")
    entries = []
    at = begin
    for _ in range(count):
        if at + _ENTRY.size > place:
            raise ZipError("its zip directory is shorter than its members need")
        entry = _ENTRY.unpack_from(data, at)
        name_length, extra_length, comment_length = entry[10:13]
        end_of_name = at + _ENTRY.size + name_length
        if entry[0] != b"PK\x01\x02" or end_of_name > place:
            raise ZipError("its zip directory is damaged")
        entries.append((entry, data[at + _ENTRY.size : end_of_name]))
        at = end_of_name + extra_length + comment_length
    if at != place:
        raise ZipError("its zip directory is longer than its members need")
    bounds = sorted(entry[-1] for entry, _ in entries)
    ends = dict(pairwise([*bounds, begin]))
    # Of two that begin at one place, neither has any room.
    shared = {a for a, b in pairwise(bounds) if a == b}
    return [
        _member(entry, name, entry[-1] if entry[-1] in shared else ends[entry[-1]])
        for entry, name in entries
    ]


def _member(entry: tuple[int, ...], name: bytes, end: int) -> Member:
    flags, method = entry[3:5]
    crc, packed_size, size = entry[7:10]
    text = name.decode("utf-8" if flags & _IS_UTF8 else "cp437", "replace")
    is_encrypted = bool(flags & _IS_ENCRYPTED)
    return Member(text, method, crc, packed_size, size, entry[-1], end, is_encrypted)


def packed_bytes(data: bytes, member: Member) -> memoryview:
    """The compressed bytes of a member.

    Raises:
        ZipError: its local header is damaged, or its bytes reach into what follows.
    """
    if member.offset + _LOCAL.size > len(data):
        raise ZipError("its header is beyond the end")
    signature, *_, name_length, extra_length = _LOCAL.unpack_from(data, member.offset)
    begin = member.offset + _LOCAL.size + name_length + extra_length
    if signature != b"PK\x03\x04":
        raise ZipError("its header is damaged")
    if begin + member.packed_size > member.end:
        raise ZipError("its bytes reach into another member's")
    return memoryview(data)[begin : begin + member.packed_size]
