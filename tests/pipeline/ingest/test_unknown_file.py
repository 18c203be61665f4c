"""What is no recording is told by its first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.unknown_file import FIRST_BYTES, looks_like


@pytest.mark.parametrize(
    ("begin", "says"),
    [
        (b"#ROSBAG V2.0\n", "it looks like a ROS bag"),
        (b"PK\x03\x04" + bytes(12), "it looks like a zip or npz archive"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "it looks like an MP4 film"),
        (b"t,x,y,p\n0,1,2,1\n", "it looks like text, “t,x,y,p…”"),
        (bytes(16), "it begins with zeros, as a download that was not finished"),
        (b"\x01\x1b[31m" + bytes(10), "it begins with the bytes 01 1b 5b 33 31 6d 00 00"),
        (b"", "it is empty"),
    ],
)
def test_what_it_looks_like(begin: bytes, says: str) -> None:
    assert looks_like(begin) == says


@given(st.binary(max_size=FIRST_BYTES))
def test_any_bytes_give_one_line_that_any_terminal_shows(begin: bytes) -> None:
    assert looks_like(begin).isprintable()
