"""The arrays of a recording while they grow, written chunk by chunk."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from pipeline.cache import records as layout
from pipeline.cache.chunks import COMPRESSOR, LEVEL, encode_chunk
from pipeline.cache.records import Filter


def codecs_of(shuffle: Filter) -> tuple[BloscCodec, Crc32cCodec]:
    """The cache's compressor and checksum, as zarr's codecs.

    Blosc has no checksum of its own, and its reader trusts a truncated frame.
    """
    return BloscCodec(cname=COMPRESSOR, clevel=LEVEL, shuffle=shuffle), Crc32cCodec()


class Column:
    """One growing array: rows are collected and written in whole chunks.

    Args:
        group: zarr group of the recording, for the metadata.
        folder: of the same group, for the chunk files.
        name: of the array, see :data:`pipeline.cache.records.ARRAYS`.
        dtype: of the array.
        width: columns of a table; 0 for an array of one dimension.
    """

    def __init__(
        self, group: zarr.Group, folder: Path, name: str, dtype: Any, width: int = 0
    ) -> None:
        self._group = group
        self._name = name
        self._dtype = np.dtype(dtype)
        self._tail = (width,) if width else ()
        self._size = layout.TABLE_CHUNK_ROWS if width else layout.CHUNK_ROWS
        self._filter = layout.FILTERS.get(name, layout.USUAL_FILTER)
        self._folder = folder / name / "c"
        self._rows: list[np.ndarray] = []
        self._waiting = 0
        self._written = 0

    def append(self, rows: np.ndarray) -> None:
        """Add rows ``[n]`` or ``[n, width]``."""
        self._rows.append(rows)
        self._waiting += len(rows)
        if self._waiting >= self._size:
            self._write_chunks(self._waiting // self._size)

    def close(self) -> None:
        """Write what is left, and the array's metadata.

        An array of less than one chunk gets a smaller one: a short recording's many small arrays would
        else be mostly the zeros that fill a chunk up.
        """
        if not self._written:
            self._size = 1 << max(0, self._waiting - 1).bit_length()
        if self._waiting:
            self._write_chunks(1)
        columns = layout.TABLE_COLUMNS.get(self._name, ())
        self._group.create_array(
            self._name,
            shape=(self._written, *self._tail),
            chunks=(self._size, *self._tail),
            dtype=self._dtype,
            compressors=codecs_of(self._filter),
            attributes={
                "holds": layout.ARRAYS[self._name],
                **({"columns": list(columns)} if columns else {}),
            },
        )

    def _write_chunks(self, count: int) -> None:
        """Also those that are all zeros, so that a chunk that is not there was lost."""
        rows = np.concatenate(self._rows).astype(self._dtype, copy=False)
        for _ in range(count):
            chunk, rows = rows[: self._size], rows[self._size :]
            number = str(self._written // self._size)
            path = self._folder.joinpath(number, *("0" for _ in self._tail))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_chunk(chunk, self._size, self._filter))
            self._written += len(chunk)
        self._rows = [rows]
        self._waiting = len(rows)
