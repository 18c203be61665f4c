"""What an array's zarr.json says, held against the layout: shape and chunks are all it may choose."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np

from pipeline.cache import records as layout
from pipeline.files.documents import MalformedError, parse_json

LARGEST_ARRAY_FILE = 1 << 16  # bytes of an array's zarr.json
#: Bytes of a chunk file. The largest chunk holds 1 MiB; blosc adds little where it cannot compress.
LARGEST_CHUNK_FILE = 2 << 20
_MOST_ROWS = 1 << 48


@dataclass(frozen=True)
class StoredArray:
    """An array of a recording.

    Attributes:
        name: see :data:`pipeline.cache.records.ARRAYS`.
        shape: ``[rows]``, or ``[rows, columns]`` of a table.
        chunks: the same of one chunk.
        dtype: of its elements, little endian.
        compression: the codecs behind the plain bytes, such as ``blosc zstd 1 bitshuffle crc32c``.
    """

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype
    compression: str

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return prod(self.shape) * self.dtype.itemsize


_ALLOWED = {
    "zarr_format",
    "node_type",
    "data_type",
    "chunk_grid",
    "chunk_key_encoding",
    "fill_value",
    "shape",
    "codecs",
    "attributes",
    "storage_transformers",
    "dimension_names",
}


@cache  # eight arrays, three types of points
def _expected(name: str, point_dtype: np.dtype) -> tuple[np.dtype, tuple[int, ...], dict[str, Any]]:
    """Type, columns, and what else the metadata of the array ``name`` must say."""
    dtype = layout.dtype_of(name, point_dtype)
    tail = (len(layout.TABLE_COLUMNS[name]),) if name in layout.TABLE_COLUMNS else ()
    expected = {
        "zarr_format": 3,
        "node_type": "array",
        "data_type": dtype.name,
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
    }
    return dtype, tail, expected


def parse_array(data: bytes, name: str, point_dtype: np.dtype) -> StoredArray:
    """What the zarr.json of the array ``name`` says.

    Args:
        data: its bytes.
        name: see :data:`pipeline.cache.records.ARRAYS`.
        point_dtype: of the array ``points``.

    Raises:
        MalformedError: it is no array, or another one than the layout has under this name.
    """
    document = parse_json(data)
    if not isinstance(document, dict):
        raise MalformedError("its zarr.json is not that of an array")
    dtype, tail, expected = _expected(name, point_dtype)
    shape = _sides(document.get("shape"), "shape", tail, _MOST_ROWS)
    grid = document.get("chunk_grid")
    grid = grid if isinstance(grid, dict) else {}
    configuration = grid.get("configuration")
    configuration = configuration if isinstance(configuration, dict) else {}
    largest = layout.TABLE_CHUNK_ROWS if tail else layout.CHUNK_ROWS
    chunks = _sides(configuration.get("chunk_shape"), "chunk_shape", tail, largest)
    if not chunks[0]:
        raise MalformedError("its chunk_shape is of no rows")
    regular = {"name": "regular", "configuration": {"chunk_shape": list(chunks)}}
    for key, value in (*expected.items(), ("chunk_grid", regular)):
        if document.get(key) != value:
            raise MalformedError(f"its {key} is not {value}")
    if document.get("storage_transformers") or not _ALLOWED.issuperset(document):
        raise MalformedError("its zarr.json has more in it than that of an array of this cache")
    return StoredArray(name, shape, chunks, dtype, _compression(document.get("codecs"), dtype))


def _sides(found: Any, key: str, tail: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Rows within bounds, and exactly the columns of ``tail``."""
    if (
        not isinstance(found, list)
        or len(found) != 1 + len(tail)
        or any(type(side) is not int for side in found)
        or not 0 <= found[0] <= most
        or tuple(found[1:]) != tail
    ):
        columns = f" of {tail[0]} columns" if tail else ""
        raise MalformedError(f"its {key} is not 0 to {most} rows{columns}")
    return tuple(found)


def _compression(codecs: Any, dtype: np.dtype) -> str:
    """The names and settings of codecs that are those of a cache: blosc, then a checksum."""
    if not isinstance(codecs, list) or not all(isinstance(codec, Mapping) for codec in codecs):
        codecs = []
    if [codec.get("name") for codec in codecs] != ["bytes", "blosc", "crc32c"]:
        raise MalformedError("its codecs are not bytes, blosc and crc32c")
    endian = (codecs[0].get("configuration") or {"endian": "little"}) == {"endian": "little"}
    configuration = codecs[1].get("configuration")
    if not endian or not isinstance(configuration, Mapping):
        raise MalformedError("its codecs are not set as in a cache")
    words = [configuration[key] for key in ("cname", "clevel", "shuffle") if key in configuration]
    if not all(isinstance(word, str | int) and len(str(word)) < 20 for word in words):
        raise MalformedError("its codecs are not set as in a cache")
    return " ".join(map(str, ["blosc", *words, "crc32c"]))
