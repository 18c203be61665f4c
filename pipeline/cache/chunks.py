"""The chunk files of a stored array, written and read directly.

zarr-python takes a millisecond or more for every chunk, longer than the codecs do. The cache's chunks
are therefore encoded and decoded here: to a byte what zarr writes, so that zarr reads them, and from
what zarr wrote. The arrays themselves, their metadata and their opening are zarr's.
"""

from collections.abc import Callable, Sequence
from typing import Final

import google_crc32c
import numpy as np
import zarr
from numcodecs import Blosc, blosc
from zarr.codecs import BloscCodec, Crc32cCodec

from pipeline.cache.records import Filter

# Several threads would write the blocks of a chunk in the order in which they finish, and a forked child
# would wait for its parent's. zarr sets this too; here it decides what is written.
blosc.use_threads = False

_COMPRESSOR: Final = "zstd"
_LEVEL = 1
_SHUFFLES = {"shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}
_CHECKSUM_BYTES = 4
_BLOSC_HEADER = 16


def codecs_of(shuffle: Filter) -> tuple[BloscCodec, Crc32cCodec]:
    """The cache's compressor and checksum, as zarr's codecs.

    Blosc has no checksum of its own, and its reader trusts a truncated frame.
    """
    return BloscCodec(cname=_COMPRESSOR, clevel=_LEVEL, shuffle=shuffle), Crc32cCodec()


def encode_chunk(rows: np.ndarray, size: int, shuffle: Filter) -> bytes:
    """The chunk file of ``rows``, filled up with zeros to ``size`` of them where they are fewer."""
    if len(rows) < size:
        whole = np.zeros((size, *rows.shape[1:]), rows.dtype)
        whole[: len(rows)] = rows
        rows = whole
    data = Blosc(_COMPRESSOR, _LEVEL, _SHUFFLES[shuffle]).encode(rows)
    return data + google_crc32c.value(data).to_bytes(_CHECKSUM_BYTES, "little")


def has_plain_chunks(array: zarr.Array) -> bool:
    """Whether ``array`` is one-dimensional and stored as the writer does, blosc with a CRC-32C."""
    codecs = [type(codec) for codec in array.compressors]
    return array.ndim == 1 and codecs == [BloscCodec, Crc32cCodec] and not array.filters


def read_rows(
    array: zarr.Array, fetch: Callable[[Sequence[str]], list[bytes]], start: int, stop: int
) -> np.ndarray:
    """Rows ``start`` to ``stop`` (exclusive) of an array with plain chunks; fewer where it ends.

    Args:
        array: one for which :func:`has_plain_chunks` holds.
        fetch: gives the bytes of chunk files by their names relative to the array's folder.
        start: the first row.
        stop: the row after the last.

    Raises:
        ValueError: a chunk is damaged. What ``fetch`` raises passes through.
    """
    (size,) = array.chunks
    stop = min(stop, array.shape[0])
    if start >= stop:
        return np.empty(0, array.dtype)
    rows = np.empty(stop - start, array.dtype)
    numbers = range(start // size, -(-stop // size))
    chunks = fetch([f"c/{number}" for number in numbers])
    for number, chunk in zip(numbers, chunks, strict=True):
        first = max(start, number * size)
        last = min(stop, (number + 1) * size)
        target = rows[first - start : last - start]
        if len(target) == size:
            _decode(chunk, target)
        else:
            whole = np.empty(size, array.dtype)
            _decode(chunk, whole)
            target[:] = whole[first - number * size : last - number * size]
    return rows


def _decode(chunk: bytes, rows: np.ndarray) -> None:
    """Fill ``rows`` with a chunk's content."""
    data = chunk[:-_CHECKSUM_BYTES]
    checksum = int.from_bytes(chunk[-_CHECKSUM_BYTES:], "little")
    if len(data) < _BLOSC_HEADER or google_crc32c.value(data) != checksum:
        raise ValueError("a chunk's bytes do not match their checksum")
    # A blosc frame says how long it is, inflated (byte 4) and itself (byte 12); its reader trusts it.
    lengths = int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little")
    if lengths != (rows.nbytes, len(data)):
        raise ValueError("a chunk has another length than the array's metadata says")
    blosc.decompress(data, rows)
