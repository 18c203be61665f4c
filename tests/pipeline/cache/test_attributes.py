"""A group's zarr.json may say anything; what is believed has the keys, types and ranges promised."""

import copy
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache import records as layout
from pipeline.cache.attributes import (
    parse_group,
    parse_recording,
    recording_attributes,
    root_attributes,
)
from pipeline.errors import CacheError
from pipeline.files.documents import MalformedError

FIRST_ROUND = Path(__file__).parents[2] / "data/first_round/cache"
RECORDING = "train/trainfilelist00/sim_000005_train_0001"


@pytest.fixture
def sound() -> dict:
    return json.loads((FIRST_ROUND / RECORDING / "zarr.json").read_text())["attributes"]


def places(value, path=()):
    """Every place in a document."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def changed(document, path, change):
    document = copy.deepcopy(document)
    target = document
    for key in path[:-1]:
        target = target[key]
    change(target, path[-1])
    return document


def test_what_was_written_is_read(sound):
    assert parse_recording(sound) == sound
    assert recording_attributes(FIRST_ROUND / RECORDING) == sound


def test_every_key_is_needed_and_no_other_is_taken(sound):
    for path in places(sound):
        if not path or isinstance(path[-1], int) or path[:2] == ("defects", "counts"):
            continue
        with pytest.raises(MalformedError):
            parse_recording(changed(sound, path, lambda where, key: where.pop(key)))
        with pytest.raises(MalformedError):
            parse_recording(changed(sound, path, lambda where, key: where.update(more=1)))


WRONG = [None, True, -1, 2**63, 1.5, "", "x", "a" * 63, [], [1], {}, {"a": 1}, "\udc80"]
RIGHT = {("files", "[]"), ("left_out", "[]"), ("counts", "{}"), ("repeated", "True")}


def test_a_value_of_another_type_or_range_is_refused_everywhere(sound):
    for path in places(sound):
        if not path or path == ("recording",):  # any text; the reader compares it with the folder
            continue
        for wrong in WRONG:
            value = changed(sound, path, lambda where, key, new=wrong: where.__setitem__(key, new))
            if (path[-1], str(wrong)) in RIGHT:
                parse_recording(value)
                continue
            with pytest.raises(MalformedError):
                parse_recording(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"attributes": 1, "node_type": "group"}',
        b'{"attributes": {}, "node_type": "array"}',
        b'{"attributes": {}, "attributes": {}, "node_type": "group"}',
        b'{"attributes": {"a": NaN}, "node_type": "group"}',
        b"[" * 100_000,
        b'{"attributes": {"a": ' + b"9" * 5000 + b'}, "node_type": "group"}',
    ],
)
def test_what_is_no_group_is_one_sentence(tmp_path, data):
    with pytest.raises(MalformedError):
        parse_group(data)
    (tmp_path / "zarr.json").write_bytes(data)
    with pytest.raises(CacheError, match=r"zarr\.json cannot be read") as raised:
        root_attributes(tmp_path)
    assert str(tmp_path) in str(raised.value)
    assert len(str(raised.value)) < 600


KEYS = st.text(max_size=3) | st.sampled_from(sorted(layout.ARRAYS))
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


@given(JSON)
def test_anything_that_is_json_is_refused_in_one_way(value):
    with pytest.raises(MalformedError):
        parse_group(json.dumps(value).encode())
    if isinstance(value, dict):
        with pytest.raises(MalformedError):
            parse_recording(value)


def test_a_pipe_is_refused_and_not_waited_for_and_a_machine_error_passes(tmp_path):
    os.mkfifo(tmp_path / "zarr.json")
    with pytest.raises(CacheError, match="is a pipe"):
        root_attributes(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic"):
        root_attributes(tmp_path / "loop")
