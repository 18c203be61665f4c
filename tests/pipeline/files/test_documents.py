"""JSON and YAML of plain values, within bounds."""

import json
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files.documents import MalformedError, parse_json, parse_yaml

_SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text()
_PLAIN = st.recursive(
    _SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=_PLAIN)
def test_json_of_plain_values_comes_back(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(value=_PLAIN)
def test_yaml_of_plain_values_comes_back(value: object) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b"[NaN]", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff", "not JSON"),
        ("[1]".encode("utf-16"), "not JSON"),
        ("[1]".encode("utf-32-be"), "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b"", "not JSON"),
        (b"{'a': 1}", "not JSON"),
    ],
)
def test_anything_else_is_no_json(data: bytes, says: str) -> None:
    with pytest.raises(MalformedError, match=says) as caught:
        parse_json(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &x 1\nb: *x", "alias"),
        ("!!int abc", "no|not YAML of plain values"),
        ("!!python/object/apply:os.mkdir [executed]", "not YAML of plain values"),
        ("a: !!binary eA==", "not YAML of plain values"),
        ("a: !!timestamp 2020-01-01", "not YAML of plain values"),
        ("a: !!set {x}", "not YAML of plain values"),
        ("[" * 5000, "nested too deeply"),
        ("a: 1\na: 2", "'a' stands twice"),
        ("1: 2", "the key 1 is no text"),
        ("? [x]\n: 2", "is no text"),
        ("\0", "not YAML of plain values"),
        ("a: 'open", "not YAML of plain values"),
        ("x" * 2_000_000, "longer than"),
        ("a: " + "9" * 5000, "not YAML of plain values"),
    ],
)
def test_anything_else_is_no_plain_yaml(text: str, says: str) -> None:
    with pytest.raises(MalformedError, match=says) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


def test_a_date_stays_the_text_it_is_and_a_power_of_ten_is_a_number() -> None:
    assert parse_yaml("a: 2020-01-01\nb: 1e-4\nc: 1.5") == {"a": "2020-01-01", "b": 1e-4, "c": 1.5}
    assert math.isnan(parse_yaml(".nan"))  # ranges are for the typed models
