"""An array's zarr.json is held against the layout before a byte of memory is given."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache import records as layout
from pipeline.cache.stored_array import parse_array
from pipeline.files.documents import MalformedError

CACHE = Path(__file__).parents[2] / "data/first_round/cache"
RECORDING = CACHE / "train/trainfilelist00/sim_000005_train_0001"
UINT8 = np.dtype(np.uint8)


def document(name: str) -> dict:
    return json.loads((RECORDING / name / "zarr.json").read_text())


def parse(content: object, name: str = "pillars"):
    return parse_array(json.dumps(content).encode(), name, UINT8)


@pytest.mark.parametrize("name", layout.ARRAYS)
def test_what_was_written_is_read(name):
    array = parse(document(name), name)
    assert list(array.shape) == document(name)["shape"]
    assert array.dtype.name == document(name)["data_type"]
    assert array.compression.startswith("blosc zstd 1 ")


SIDE = 1 << 18
CHUNKS = {"name": "regular", "configuration": {"chunk_shape": [SIDE]}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", [10**18]),
        ("shape", [-1]),
        ("shape", [2.0]),
        ("shape", [True]),
        ("shape", [1, 1]),
        ("shape", []),
        ("shape", "3639"),
        ("data_type", "float64"),
        ("data_type", "object"),
        ("data_type", {"name": "null_terminated_bytes"}),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [10 << 30]}}),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [0]}}),
        ("chunk_grid", {"name": "rectilinear", "configuration": {"chunk_shape": [SIDE]}}),
        ("chunk_grid", {**CHUNKS, "more": 1}),
        ("chunk_grid", None),
        ("chunk_key_encoding", {"name": "v2", "configuration": {"separator": "."}}),
        ("fill_value", 7),
        ("fill_value", None),
        ("codecs", []),
        ("codecs", "blosc"),
        ("codecs", [{"name": "sharding_indexed"}]),
        ("codecs", [{"name": "bytes"}, {"name": "gzip"}, {"name": "crc32c"}]),
        ("codecs", [{"name": "bytes"}, {"name": "blosc"}]),
        ("codecs", [{"name": "bytes"}, {"name": "blosc"}, {"name": "crc32c"}]),
        ("node_type", "group"),
        ("zarr_format", 2),
        ("storage_transformers", [{"name": "x"}]),
        ("must_understand", 1),
    ],
)
def test_another_array_than_the_layout_has_is_refused(key, value):
    with pytest.raises(MalformedError):
        parse({**document("pillars"), key: value})


def test_a_table_has_its_columns():
    windows = document("windows")
    with pytest.raises(MalformedError, match="11 columns"):
        parse({**windows, "shape": [29, 10]}, "windows")
    with pytest.raises(MalformedError, match="data_type"):
        parse({**windows, "data_type": "float64"}, "windows")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
)


@given(key=st.sampled_from(sorted(document("pillars"))), value=JSON)
def test_whatever_a_key_holds_is_read_or_refused(key, value):
    content = copy.deepcopy(document("pillars"))
    content[key] = value
    try:
        array = parse(content)
    except MalformedError:
        return
    assert array.dtype == np.uint32
    assert 1 <= array.chunks[0] <= layout.CHUNK_ROWS
