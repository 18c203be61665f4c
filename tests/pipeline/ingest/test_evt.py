"""RAW recordings: EVT 2.0 and 3.0 against decoders that go word by word."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RecordingError
from pipeline.ingest import evt
from pipeline.ingest.evt import evt_blocks, read_evt_header
from pipeline.ingest.raw_recording import open_raw
from pipeline.ingest.reading import Reading
from tests.pipeline.evt_files import (
    Event,
    evt2_words,
    evt3_words,
    slow_evt2,
    slow_evt3,
    write_raw,
)


def decoded(path: Path) -> list[Event]:
    header = read_evt_header(path)
    assert header is not None
    return [tuple(row) for block in evt_blocks(path, header, Reading()) for row in block.tolist()]


def some_events(seed: int, count: int, longest_step: int) -> list[Event]:
    rng = random.Random(seed)
    t, events = rng.randrange(1 << 20), []
    for _ in range(count):
        t += rng.choice((0, 0, 0, 1, rng.randrange(longest_step)))
        events.append((t, rng.randrange(60), rng.randrange(48), rng.randrange(2)))
    return events


@given(seed=st.integers(0, 1 << 30), vectors=st.booleans())
def test_evt3_gives_every_event_with_its_time_over_several_turns_of_the_clock(
    tmp_path_factory: pytest.TempPathFactory, seed: int, vectors: bool
) -> None:
    path = tmp_path_factory.mktemp("raw") / "a.raw"
    events = some_events(seed, 200, 400_000)
    words = evt3_words(events, vectors=vectors)
    write_raw(path, "3.0", words)
    assert decoded(path) == events == slow_evt3(words)


@given(seed=st.integers(0, 1 << 30))
def test_evt2_gives_every_event_with_its_time(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    path = tmp_path_factory.mktemp("raw") / "a.raw"
    events = some_events(seed, 200, 40_000_000)
    words = evt2_words(events)
    write_raw(path, "2.0", words)
    assert decoded(path) == events == slow_evt2(words)


@given(words=st.lists(st.integers(0, 2**32 - 1), max_size=300))
def test_evt2_words_of_any_content_are_decoded_as_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, words: list[int]
) -> None:
    path = tmp_path_factory.mktemp("raw") / "a.raw"
    write_raw(path, "2.0", words)
    assert decoded(path) == slow_evt2(words)


def test_evt2_counts_on_where_its_clock_begins_again(tmp_path: Path) -> None:
    last = (1 << 34) - 50
    events = [(last, 1, 2, 0), (last + 40, 3, 4, 1), (last + 90, 5, 6, 0)]
    write_raw(tmp_path / "a.raw", "2.0", evt2_words(events))
    assert decoded(tmp_path / "a.raw") == events


@pytest.mark.parametrize("encoding", ["2.0", "3.0"])
def test_pieces_of_a_file_are_decoded_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    events = some_events(3, 500, 90_000)
    words = evt3_words(events, vectors=True) if encoding == "3.0" else evt2_words(events)
    write_raw(tmp_path / "a.raw", encoding, words)
    monkeypatch.setattr(evt, "BLOCK_BYTES", 12)
    assert decoded(tmp_path / "a.raw") == events


@pytest.mark.parametrize(
    ("lines", "encoding", "sensor"),
    [
        ("% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n", "3.0", (1280, 720)),
        ("% evt 2.0\n% geometry 640x480\n", "2.0", (640, 480)),
        ("% Width 64\n% Height 48\n% evt 2.0\n", "2.0", (64, 48)),
        ("% format EVT21;endianness=little;height=720;width=1280\n", "2.1", (1280, 720)),
        ("% evt 3.0\n% geometry 0x0\n", "3.0", None),
        ("% evt 3.0\n% geometry 99999x99999\n", "3.0", None),
        ("% evt 3.0\n", "3.0", None),
    ],
)
def test_the_header_says_encoding_and_sensor_in_the_ways_of_several_years(
    tmp_path: Path, lines: str, encoding: str, sensor: tuple[int, int] | None
) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(lines.encode() + b"\0\x80")
    header = read_evt_header(path)
    assert header is not None
    assert (header.encoding, header.sensor, header.length) == (encoding, sensor, len(lines))


@pytest.mark.parametrize(
    "content", [b"", b"% Width 64\n% Height 48\n\x0c\x08", b"\x89HDF\r\n", b"%"]
)
def test_other_files_have_no_such_header(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert read_evt_header(tmp_path / "a") is None


@pytest.mark.parametrize("encoding", ["2.0", "3.0"])
def test_a_file_that_ends_within_a_word_says_where(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.raw"
    write_raw(path, encoding, [0x8000] * 4)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        RecordingError, match=r"a\.raw: truncated, it ends within the word at byte \d+"
    ):
        decoded(path)


def test_an_encoding_that_cannot_be_read_says_which_can(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(b"% evt 2.1\n% end\n" + bytes(8))
    with pytest.raises(RecordingError, match=r"EVT 2\.1; EVT 2\.0 and EVT 3\.0 can be read"):
        decoded(path)


@pytest.mark.parametrize("encoding", ["2.0", "3.0"])
def test_real_recordings_come_back_from_both_encodings(
    tmp_path: Path, encoding: str, real_recordings: list[Path]
) -> None:
    for recording in real_recordings:
        raw = open_raw(recording)
        events = [tuple(row) for block in raw.blocks() for row in block.tolist()]
        words = evt3_words(events, vectors=True) if encoding == "3.0" else evt2_words(events)
        write_raw(tmp_path / "a.raw", encoding, words, raw.sensor)
        assert decoded(tmp_path / "a.raw") == events
        assert (slow_evt3 if encoding == "3.0" else slow_evt2)(words) == events
