"""The npy grammar: what numpy writes of numbers is read the same, anything else has a named end."""

import io
import math
import resource

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.release.npy import ElementTypeError, NpyError, parse_array
from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE

NUMBERS = ["<i4", "<u2", "u1", "i1", "<f8", ">i4", "<f2", "?", ">u8"]
PADDED = np.dtype(
    {"names": ["t", "x"], "formats": ["<i8", "<f4"], "offsets": [4, 12], "itemsize": 40}
)


def npy(array, version=None):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def with_header(text, elements=b"", length=None):
    text = text.encode("latin-1")
    claimed = len(text) if length is None else length
    return b"\x93NUMPY\x01\x00" + claimed.to_bytes(2, "little") + text + elements


def header(descr="'<u4'", order="False", shape="(3,)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@given(
    dtype=st.sampled_from([*map(np.dtype, NUMBERS), EVENT_DTYPE, LABEL_DTYPE, PADDED]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    order=st.sampled_from("CF"),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0)]),
    seed=st.integers(0, 99),
)
def test_what_numpy_writes_of_numbers_is_what_numpy_reads(dtype, shape, order, version, seed):
    content = np.random.default_rng(seed).bytes(math.prod(shape) * dtype.itemsize)
    data = npy(np.frombuffer(content, dtype).reshape(shape).copy(order), version)
    ours, theirs = parse_array(data), np.load(io.BytesIO(data), allow_pickle=False)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    for name in dtype.names or [...]:  # padding between fields may be anything
        assert ours[name].tobytes() == theirs[name].tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.array(["text"]),
        np.zeros(2, "c8"),
        np.zeros(2, "M8[s]"),
        np.zeros(2, "V3"),
        np.zeros(2, [("t", "<i4", (2,))]),
        np.zeros(2, [("t", [("a", "<i4")])]),
        np.array([{"a": 1}], object),
    ],
)
def test_other_elements_than_numbers_are_refused(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    with pytest.raises(ElementTypeError, match="element type"):
        parse_array(stream.getvalue())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY\x04\x00\x00\x00",
        with_header(header(), b"\0" * 12, length=60000),
        with_header(header(), b"\0" * 11),
        with_header(header(), b"\0" * 13),
        with_header(header(shape="(-1,)"), b""),
        with_header(header(shape="(3.0,)"), b"\0" * 12),
        with_header(header(shape="(03,)"), b"\0" * 12),
        with_header(header(shape="(1e9,)"), b""),
        with_header(header(shape="(,)"), b"\0" * 4),
        with_header(header(shape="(1000000000000,)"), b""),
        with_header(header(shape="(9223372036854775807, 9223372036854775807)"), b""),
        with_header(header(shape="(4294967296, 4294967296, 4294967296, 4294967296)"), b""),
        with_header(header(shape="(0, 999999999999999999, 999999999999999999)"), b""),
        with_header(header(shape="(" + "1, " * 30 + ")"), b"\0" * 4),
        with_header(header(order="0"), b"\0" * 12),
        with_header(header(descr="__import__('os')"), b"\0" * 12),
        with_header(header(descr="[('a', '<u4'), ('a', '<u4')]"), b"\0" * 24),
        with_header(header(descr="[('', '|V4')]"), b"\0" * 12),
        with_header(header(descr="[" + "('a', '<u4'), " * 500 + "]"), b""),
        with_header(header() + "x", b"\0" * 12),
        with_header("(" * 5000, b""),
        with_header("{" * 9000 + "'descr': ", b""),
    ],
)
def test_hostile_headers_end_in_a_sentence(data):
    with pytest.raises(NpyError) as caught:
        parse_array(data)
    assert len(str(caught.value)) < 300


@given(st.data())
@example(None)
def test_changed_headers_are_read_as_numpy_does_or_refused(data):
    sound = npy(np.zeros(3, EVENT_DTYPE))
    changed = bytearray(sound)
    if data is not None:
        for _ in range(data.draw(st.integers(1, 4))):
            changed[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    try:
        ours = parse_array(bytes(changed))
    except NpyError:
        return
    theirs = np.load(io.BytesIO(bytes(changed)), allow_pickle=False)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)


def test_a_claim_takes_no_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for size in (10**9, 10**12, 10**15):
        with pytest.raises(NpyError):
            parse_array(with_header(header(shape=f"({size},)"), b"\0" * 12))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (64 << 10)
