"""The npy format by a strict grammar: plain numbers, or flat records of them, and nothing else.

A header is read by patterns whose work and memory are bounded, never evaluated; what it claims is
held against the bytes that are there before an array is made of them. Arrays of Python objects are
refused, so nothing is ever unpickled.
"""

import math
import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 14  # characters; a record of the release's eight fields takes 200
_USUAL_HEADER = 512  # characters; what was read of longer ones is not kept
_MOST_FIELDS = 64
_MOST_DIMENSIONS = 8
# The keys in the order in which every known writer has them.
_HEADER = re.compile(
    rb"\{ ?'descr': ?([^\n]+?), ?'fortran_order': ?(True|False), "
    rb"?'shape': ?\(([\d, ]*)\),? ?\} *\n?",
)
_SIDE = re.compile(rb" *(0|[1-9]\d{0,17}) *")
_NUMBER = r"[<>|=]?(?:b1|i[1248]|u[1248]|f[248])"
_PLAIN_TYPE = re.compile(rf"'({_NUMBER})'")
_FIELD = re.compile(
    rf" *\('(?:([A-Za-z_]\w{{0,63}})', ?'({_NUMBER})|', ?'\|V(\d{{1,3}}))'\) *(,|$)", re.ASCII
)


class NpyError(ValueError):
    """Bytes that are no npy array, or hold other bytes than they claim; part of a sentence."""


class ElementTypeError(NpyError):
    """An npy array of something else than numbers or flat records of numbers."""


class _Header(NamedTuple):
    """What a header says; ``offset`` is where the elements begin."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype
    offset: int


def parse_array(data: bytes) -> np.ndarray:
    """The array in the bytes of an npy file; a read-only view of them.

    Args:
        data: the whole file. It lies in memory already, so the array takes no more.

    Raises:
        ElementTypeError: the elements are no numbers and no flat records of numbers.
        NpyError: the bytes are no npy file, or not as many as it claims.
    """
    header = _parse_header(data)
    count = math.prod(header.shape)
    claimed, found = count * header.dtype.itemsize, len(data) - header.offset
    if claimed != found:
        raise NpyError(f"its header claims {claimed} bytes of elements, there are {found}")
    array = np.frombuffer(data, header.dtype, count, offset=header.offset)
    return array.reshape(header.shape, order="F" if header.is_fortran else "C")


def _parse_header(data: bytes) -> _Header:
    # Version 1 has two bytes for the header's length, 2 and 3 have four; 3 allows UTF-8 in names.
    version = data[6:8]
    if not data.startswith(_MAGIC) or version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise NpyError("it does not begin as an npy file does")
    begin = 10 if version == b"\1\0" else 12
    length = int.from_bytes(data[8:begin], "little")
    if length > _LONGEST_HEADER:
        raise NpyError(f"its header claims {length} characters, more than {_LONGEST_HEADER}")
    if len(data) < begin + length:
        raise NpyError("it ends within its header")
    text = data[begin : begin + length]
    described = _described if length <= _USUAL_HEADER else _described.__wrapped__
    shape, is_fortran, dtype = described(text)
    return _Header(shape, is_fortran, dtype, begin + length)


@lru_cache(maxsize=1024)  # windows of as many boxes have the same header, and most have few
def _described(text: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and element type of a header's text."""
    found = _HEADER.fullmatch(text)
    if not found:
        raise NpyError("its header does not state element type, order and shape as numpy does")
    return _shape(found[3]), found[2] == b"True", _dtype(found[1])


def _shape(text: bytes) -> tuple[int, ...]:
    sides = text.split(b",")
    if not sides[-1].strip():
        sides.pop()  # "(5,)" and "()"
    if len(sides) > _MOST_DIMENSIONS or not all(_SIDE.fullmatch(side) for side in sides):
        raise NpyError(f"its shape is not up to {_MOST_DIMENSIONS} numbers from 0 up")
    shape = tuple(int(side) for side in sides)
    # Also where a side is 0: numpy multiplies the others.
    if math.prod(max(side, 1) for side in shape) >= 1 << 48:
        raise NpyError(f"its shape {shape} is beyond any memory")
    return shape


@lru_cache(maxsize=64)  # a shard's members share one type
def _dtype(description: bytes) -> np.dtype:
    """The dtype of a ``descr``.

    Padding between fields has an empty name and the type ``|V…``, as numpy writes it.
    """
    text = description.decode("latin-1")
    refused = ElementTypeError(
        f"its element type {text[:80]} is no number, and no flat record of numbers with names"
    )
    plain = _PLAIN_TYPE.fullmatch(text)
    if plain:
        return np.dtype(plain[1])
    if not (text.startswith("[") and text.endswith("]")):
        raise refused
    names: list[str] = []
    types: list[np.dtype] = []
    offsets: list[int] = []
    size, place, last = 0, 1, len(text) - 1
    while place < last:
        field = _FIELD.match(text, place, last)
        if not field or len(names) == _MOST_FIELDS:
            raise refused
        place = field.end()
        if field[1] is None:
            size += int(field[3])
            continue
        names.append(field[1])
        types.append(np.dtype(field[2]))
        offsets.append(size)
        size += types[-1].itemsize
    if not names or len(set(names)) < len(names):
        raise refused
    return np.dtype({"names": names, "formats": types, "offsets": offsets, "itemsize": size})
