"""The chunk files of a stored array, written and read directly.

zarr-python takes a millisecond or more for every chunk, longer than the codecs do. The cache's chunks
are therefore encoded and decoded here: to a byte what zarr writes, so that zarr reads them, and from
what zarr wrote.
"""

from collections.abc import Callable, Sequence
from typing import Final

import google_crc32c
import numpy as np
from numcodecs import Blosc, blosc

from pipeline.cache.records import Filter
from pipeline.cache.stored_array import StoredArray

# Several threads would write the blocks of a chunk in the order in which they finish, and a forked child
# would wait for its parent's. zarr sets this too; here it decides what is written.
blosc.use_threads = False

COMPRESSOR: Final = "zstd"
LEVEL = 1
_SHUFFLES = {"shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}
_CHECKSUM_BYTES = 4
_BLOSC_HEADER = 16
_AT_ONCE = 64  # chunks fetched before they are decoded: with their rows, at most 200 MB


def encode_chunk(rows: np.ndarray, size: int, shuffle: Filter) -> bytes:
    """The chunk file of ``rows``, filled up with zeros to ``size`` of them where they are fewer."""
    if len(rows) < size:
        whole = np.zeros((size, *rows.shape[1:]), rows.dtype)
        whole[: len(rows)] = rows
        rows = whole
    data = Blosc(COMPRESSOR, LEVEL, _SHUFFLES[shuffle]).encode(rows)
    return data + google_crc32c.value(data).to_bytes(_CHECKSUM_BYTES, "little")


def read_rows(
    array: StoredArray, fetch: Callable[[Sequence[str]], list[bytes]], start: int, stop: int
) -> np.ndarray:
    """Rows ``start`` to ``stop`` (exclusive) of an array; fewer where it ends.

    Memory is given for what chunk files hold, not for what the metadata claim: a chunk that is not
    there ends the reading.

    Args:
        array: what its metadata say.
        fetch: gives the bytes of chunk files by their names relative to the array's folder.
        start: the first row.
        stop: the row after the last.

    Raises:
        ValueError: a chunk is damaged. What ``fetch`` raises passes through.
    """
    size, *tail = array.chunks
    stop = min(stop, array.shape[0])
    if start >= stop:
        return np.empty((0, *tail), array.dtype)
    numbers = range(start // size, -(-stop // size))
    behind = "/0" * len(tail)
    parts = []
    for k in range(0, len(numbers), _AT_ONCE):
        group = numbers[k : k + _AT_ONCE]
        chunks = fetch([f"c/{number}{behind}" for number in group])
        first, last = max(start, group[0] * size), min(stop, (group[-1] + 1) * size)
        rows = np.empty((last - first, *tail), array.dtype)
        for number, chunk in zip(group, chunks, strict=True):
            a, b = max(first, number * size), min(last, (number + 1) * size)
            target = rows[a - first : b - first]
            if len(target) == size:
                _decode(chunk, target)
            else:
                whole = np.empty((size, *tail), array.dtype)
                _decode(chunk, whole)
                target[:] = whole[a - number * size : b - number * size]
        parts.append(rows)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


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
