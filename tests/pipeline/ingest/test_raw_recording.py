"""A recording's format is told by its content; what is none says what it looks like."""

import tempfile
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RecordingError, UsageError
from pipeline.ingest.convert import ingest_recording
from pipeline.ingest.raw_recording import open_raw
from tests.fuzz.byte_mutations import mutate
from tests.pipeline.evt_files import evt2_words, evt3_words, write_raw
from tests.pipeline.ingest.test_evt import some_events
from tests.pipeline.raw_files import write_dat, write_hdf5

EVENTS = some_events(5, 3000, 3000)


def as_array(events: list) -> np.ndarray:
    return np.array(events, [("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])


def write(path: Path, format: str) -> None:
    if format == "DAT":
        write_dat(path, as_array(EVENTS))
    elif format == "HDF5":
        write_hdf5(path, as_array(EVENTS))
    elif format == "EVT 3.0":
        write_raw(path, "3.0", evt3_words(EVENTS))
    else:
        write_raw(path, "2.0", evt2_words(EVENTS))


FORMATS = ["DAT", "HDF5", "EVT 2.0", "EVT 3.0"]


@pytest.mark.parametrize("ending", ["_td.dat", ".raw", ".h5", ".bin"])
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_the_same_shards_under_any_name(
    tmp_path: Path, format: str, ending: str
) -> None:
    write(tmp_path / f"a{ending}", format)
    write(tmp_path / "b.dat", "DAT")
    one = ingest_recording(tmp_path / f"a{ending}", tmp_path / "one", "train")
    other = ingest_recording(tmp_path / "b.dat", tmp_path / "other", "train")
    assert (one.format, one.events, one.windows) == (format, other.events, other.windows)
    for kind in ("events", "labels"):
        ours, theirs = (
            [p.read_bytes() for p in sorted(tmp_path.glob(f"{place}/*/*/{kind}/*/*"))]
            for place in ("one", "other")
        )
        assert ours == theirs


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"#!AER-DAT3.1\r\n", "it looks like AEDAT 3"),
        (bytes(3000), "it begins with zeros"),
        (b"", "it is empty"),
    ],
)
def test_what_is_none_says_which_formats_are_and_what_it_looks_like(
    tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "a.raw").write_bytes(content)
    with pytest.raises(RecordingError, match=rf"{says}.*\); give DAT, RAW"):
        open_raw(tmp_path / "a.raw")


def test_a_sensor_is_taken_where_none_is_stated_and_refused_where_another_is(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.raw").write_bytes(b"% evt 2.0\n% end\n" + bytes(8))
    with pytest.raises(RecordingError, match=r"does not state the sensor size .*--sensor"):
        open_raw(tmp_path / "a.raw")
    assert open_raw(tmp_path / "a.raw", (64, 48)).sensor == (64, 48)
    write(tmp_path / "b.dat", "DAT")
    assert open_raw(tmp_path / "b.dat", (64, 48)).sensor == (64, 48)
    with pytest.raises(RecordingError, match="states a sensor of 64x48 pixels; leave --sensor out"):
        open_raw(tmp_path / "b.dat", (640, 480))


def test_a_recording_longer_than_the_release_s_clock_is_refused_where_it_leaves_it(
    tmp_path: Path,
) -> None:
    events = [(0, 1, 1, 1), ((1 << 32) + 5, 2, 2, 0)]
    write_raw(tmp_path / "a.raw", "2.0", evt2_words(events))
    with pytest.raises(RecordingError, match="lasts longer than the 72 minutes"):
        list(open_raw(tmp_path / "a.raw").blocks())


@cache
def content(format: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        write(path, format)
        return path.read_bytes()


@pytest.mark.parametrize("format", FORMATS)
@given(random=st.randoms(use_true_random=False))
def test_mutated_files_are_read_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, format: str, random: Random
) -> None:
    path = tmp_path_factory.mktemp("raw") / "a.raw"
    path.write_bytes(mutate(content(format), random))
    said = None
    try:
        for block in open_raw(path).blocks():
            assert (np.diff(block["t"].astype(np.int64)) >= 0).all()
    except (RecordingError, UsageError) as error:
        said = str(error)
    assert said is None or ("a.raw: " in said and "\n" not in said)
