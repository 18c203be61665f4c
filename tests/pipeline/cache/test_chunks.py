"""Chunk files against the same rows read and written by zarr."""

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache import records as layout
from pipeline.cache.chunks import codecs_of, encode_chunk, has_plain_chunks, read_rows

CODECS = codecs_of(layout.USUAL_FILTER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("chunks")


def stored(folder, values, chunk, compressors=CODECS):
    array = zarr.create_array(
        folder / f"a{len(list(folder.iterdir()))}",
        shape=values.shape,
        chunks=(chunk,) * values.ndim,
        dtype=values.dtype,
        compressors=compressors,
        config={"write_empty_chunks": True},
    )
    array[...] = values
    return array


def fetch_from(array):
    return lambda names: [(array.store.root / array.path / name).read_bytes() for name in names]


@given(
    length=st.integers(0, 40),
    chunk=st.integers(1, 16),
    dtype=st.sampled_from([np.uint8, np.uint16, np.uint32]),
    data=st.data(),
)
def test_rows_are_those_that_zarr_reads(folder, length, chunk, dtype, data):
    start = data.draw(st.integers(0, length))
    stop = data.draw(st.integers(start, length + 5))
    array = stored(folder, np.arange(length).astype(dtype) * 3, chunk)
    rows = read_rows(array, fetch_from(array), start, stop)
    np.testing.assert_array_equal(rows, array[start:stop])
    assert rows.dtype == dtype


def test_only_the_chunks_that_hold_the_rows_are_fetched(folder):
    array = stored(folder, np.arange(100, dtype=np.uint32), 10)
    asked = []

    def fetch(names):
        asked.extend(names)
        return fetch_from(array)(names)

    read_rows(array, fetch, 19, 31)
    assert asked == ["c/1", "c/2", "c/3"]


def test_every_flipped_byte_is_noticed(folder):
    array = stored(folder, np.arange(50, dtype=np.uint32), 50)
    (chunk,) = fetch_from(array)(["c/0"])
    for place in range(len(chunk)):
        damaged = bytearray(chunk)
        damaged[place] ^= 1
        with pytest.raises(ValueError, match="checksum"):
            read_rows(array, lambda names, data=bytes(damaged): [data], 0, 50)


@pytest.mark.parametrize("kept", [0, 3, 15, 30])
def test_a_truncated_chunk_is_noticed(folder, kept):
    array = stored(folder, np.arange(50, dtype=np.uint32), 50)
    (chunk,) = fetch_from(array)(["c/0"])
    with pytest.raises(ValueError, match="checksum"):
        read_rows(array, lambda names: [chunk[:kept]], 0, 50)


def test_a_whole_chunk_of_another_array_is_noticed(folder):
    array = stored(folder, np.arange(50, dtype=np.uint32), 50)
    longer = stored(folder, np.arange(60, dtype=np.uint32), 60)
    with pytest.raises(ValueError, match="another length"):
        read_rows(array, fetch_from(longer), 0, 50)


def test_arrays_of_another_form_are_left_to_zarr(folder):
    assert has_plain_chunks(stored(folder, np.zeros(5, np.uint32), 5))
    assert not has_plain_chunks(stored(folder, np.zeros((5, 2), np.uint32), 5))
    assert not has_plain_chunks(stored(folder, np.zeros(5, np.uint32), 5, CODECS[:1]))


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
    rows = read_rows(array, fetch_from(array), 17, size + 900)
    np.testing.assert_array_equal(rows, values[17 : size + 900])
