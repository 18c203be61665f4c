"""Chunk files against the same rows read and written by zarr."""

import tracemalloc

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache import records as layout
from pipeline.cache.chunks import encode_chunk, read_rows
from pipeline.cache.columns import codecs_of
from pipeline.cache.stored_array import StoredArray

CODECS = codecs_of(layout.USUAL_FILTER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("chunks")


def stored(folder, values, chunk, compressors=CODECS):
    array = zarr.create_array(
        folder / f"a{len(list(folder.iterdir()))}",
        shape=values.shape,
        chunks=(chunk, *values.shape[1:]),
        dtype=values.dtype,
        compressors=compressors,
        config={"write_empty_chunks": True},
    )
    array[...] = values
    return array


def read(array, fetch, start, stop):
    plain = StoredArray("pillars", array.shape, array.chunks, array.dtype, "blosc")
    return read_rows(plain, fetch, start, stop)


def fetch_from(array):
    return lambda names: [(array.store.root / array.path / name).read_bytes() for name in names]


@given(
    length=st.integers(0, 40),
    chunk=st.integers(1, 16),
    width=st.sampled_from([0, 3]),
    dtype=st.sampled_from([np.uint8, np.uint16, np.uint32, np.int64, np.float64]),
    data=st.data(),
)
def test_rows_are_those_that_zarr_reads(folder, length, chunk, width, dtype, data):
    start = data.draw(st.integers(0, length))
    stop = data.draw(st.integers(start, length + 5))
    values = np.arange(length * max(width, 1)).astype(dtype) * 3
    array = stored(folder, values.reshape(length, width) if width else values, chunk)
    rows = read(array, fetch_from(array), start, stop)
    np.testing.assert_array_equal(rows, array[start:stop])
    assert rows.dtype == dtype


def test_only_the_chunks_that_hold_the_rows_are_fetched(folder):
    array = stored(folder, np.arange(100, dtype=np.uint32), 10)
    asked = []

    def fetch(names):
        asked.extend(names)
        return fetch_from(array)(names)

    read(array, fetch, 19, 31)
    assert asked == ["c/1", "c/2", "c/3"]


def test_memory_is_for_what_chunk_files_hold_and_not_for_what_is_claimed():
    def fetch(names):
        raise FileNotFoundError(names[0])

    claimed = StoredArray("pillars", (10**15,), (layout.CHUNK_ROWS,), np.dtype("<u4"), "blosc")
    tracemalloc.start()
    try:
        with pytest.raises(FileNotFoundError):
            read_rows(claimed, fetch, 0, 10**15)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_every_flipped_byte_is_noticed(folder):
    array = stored(folder, np.arange(50, dtype=np.uint32), 50)
    (chunk,) = fetch_from(array)(["c/0"])
    for place in range(len(chunk)):
        damaged = bytearray(chunk)
        damaged[place] ^= 1
        with pytest.raises(ValueError, match="checksum"):
            read(array, lambda names, data=bytes(damaged): [data], 0, 50)


@pytest.mark.parametrize("kept", [0, 3, 15, 30])
def test_a_truncated_chunk_is_noticed(folder, kept):
    array = stored(folder, np.arange(50, dtype=np.uint32), 50)
    (chunk,) = fetch_from(array)(["c/0"])
    with pytest.raises(ValueError, match="checksum"):
        read(array, lambda names: [chunk[:kept]], 0, 50)


def test_a_whole_chunk_of_another_array_is_noticed(folder):
    array = stored(folder, np.arange(50, dtype=np.uint32), 50)
    longer = stored(folder, np.arange(60, dtype=np.uint32), 60)
    with pytest.raises(ValueError, match="another length"):
        read(array, fetch_from(longer), 0, 50)


@given(
    length=st.integers(1, 16),
    width=st.sampled_from([0, 3]),
    dtype=st.sampled_from([np.uint8, np.uint16, np.uint32, np.int64, np.float64]),
    shuffle=st.sampled_from(["shuffle", "bitshuffle"]),
)
def test_a_chunk_file_is_to_the_byte_what_zarr_writes(folder, length, width, dtype, shuffle):
    values = (np.arange(length * max(width, 1)) % 7).astype(dtype)
    values = values.reshape(length, width) if width else values
    array = zarr.create_array(
        folder / f"a{len(list(folder.iterdir()))}",
        shape=values.shape,
        chunks=(16, *values.shape[1:]),
        dtype=dtype,
        compressors=codecs_of(shuffle),
        config={"write_empty_chunks": True},
    )
    array[...] = values
    (written,) = fetch_from(array)(["c/0/0" if width else "c/0"])
    assert encode_chunk(values, 16, shuffle) == written


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("shuffle", ["shuffle", "bitshuffle"])
def test_chunks_of_full_size_are_written_and_read_as_by_zarr(folder, dtype, shuffle):
    size = layout.CHUNK_ROWS
    values = np.random.default_rng(1).geometric(0.2, size + 1000).astype(dtype)
    array = stored(folder, values, size, codecs_of(shuffle))
    first, second = fetch_from(array)(["c/0", "c/1"])
    assert encode_chunk(values[:size], size, shuffle) == first
    assert encode_chunk(values[size:], size, shuffle) == second
    rows = read(array, fetch_from(array), 17, size + 900)
    np.testing.assert_array_equal(rows, values[17 : size + 900])
