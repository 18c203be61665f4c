"""AEDAT 4 recordings, written and read by their makers' package."""

from pathlib import Path
from random import Random

import numpy as np
import pytest

from pipeline.errors import RecordingError, UsageError
from pipeline.ingest import aedat4
from pipeline.ingest.convert import ingest_recording
from pipeline.ingest.raw_recording import open_raw
from tests.fuzz.byte_mutations import mutate

dv = pytest.importorskip("dv_processing", reason="the extra aedat4 is not installed")

BEGIN = 1_700_000_000_123_456  # µs since 1970


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two seconds of events, one a millisecond."""
    path = tmp_path / "drive.aedat4"
    writer = dv.io.MonoCameraWriter(
        str(path), dv.io.MonoCameraWriter.EventOnlyConfig("camera", (64, 48))
    )
    store = dv.EventStore()
    for k in range(2000):
        store.push_back(BEGIN + 1000 * k, k % 64, k % 48, k % 3 == 0)
    writer.writeEvents(store)
    del writer
    return path


def test_events_keep_their_order_pixels_and_polarity(recording: Path) -> None:
    raw = open_raw(recording)
    events = np.concatenate(list(raw.blocks()))
    k = np.arange(2000)
    assert (raw.sensor, raw.format) == ((64, 48), "AEDAT 4")
    assert (events["t"] == BEGIN - raw.begin_us + 1000 * k).all()
    assert (events["x"] == k % 64).all()
    assert (events["y"] == k % 48).all()
    assert (events["p"] == (k % 3 == 0)).all()


def test_the_clock_of_the_shards_begins_with_the_first_window(
    recording: Path, tmp_path: Path
) -> None:
    summary = ingest_recording(recording, tmp_path / "out", "train", skip_us=0)
    assert summary.begin_us == BEGIN // 50_000 * 50_000
    assert summary.recording_id == "train/trainfilelist00/drive"
    assert any("Times count from" in line for line in summary.lines())


@pytest.mark.parametrize("size", [20, 200, 3000])
def test_a_truncated_file_is_one_sentence(recording: Path, size: int) -> None:
    recording.write_bytes(recording.read_bytes()[:size])
    with pytest.raises(RecordingError, match=r"drive\.aedat4: ") as caught:
        list(open_raw(recording).blocks())
    assert "\n" not in str(caught.value)


def test_without_the_package_the_sentence_says_what_to_install(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aedat4, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'dmanet-events\[aedat4\]'"):
        open_raw(recording)


@pytest.mark.parametrize("seed", range(6))
def test_a_mutated_file_is_read_or_refused_in_a_sentence_though_its_package_hangs_at_some(
    recording: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(aedat4, "SILENCE", 2.0)
    recording.write_bytes(mutate(recording.read_bytes(), Random(seed)))
    said = None
    try:
        for block in open_raw(recording).blocks():
            assert (np.diff(block["t"].astype(np.int64)) >= 0).all()
    except RecordingError as error:
        said = str(error)
    assert said is None or ("drive.aedat4: " in said and "\n" not in said)


def test_a_recording_without_events_says_so(tmp_path: Path) -> None:
    path = tmp_path / "frames.aedat4"
    writer = dv.io.MonoCameraWriter(
        str(path), dv.io.MonoCameraWriter.FrameOnlyConfig("camera", (64, 48))
    )
    del writer
    with pytest.raises(RecordingError, match=r"frames\.aedat4: has no event stream; record one"):
        open_raw(path)


def test_what_lies_in_the_working_folder_is_not_run_and_a_talkative_reader_does_not_hang(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pipeline.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    assert aedat4.aedat4_sensor(recording) == (64, 48)
    monkeypatch.setattr(aedat4, "SILENCE", 10.0)
    program = tmp_path / "program"
    program.write_text(
        "#!/bin/sh\nyes warning | head -n 100000 >&2\necho and a reason >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(aedat4.sys, "executable", str(program))
    with pytest.raises(RecordingError, match="reason"):
        aedat4.aedat4_sensor(recording)


def test_a_reader_that_is_silent_or_dies_is_a_sentence(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aedat4, "SILENCE", 1.0)
    program = tmp_path / "program"
    monkeypatch.setattr(aedat4.sys, "executable", str(program))
    for does, says in (
        ("exec sleep 60", "hangs for 1 s"),
        ("kill -SEGV $$", "died, exit code -11"),
    ):
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
        with pytest.raises(RecordingError, match=says):
            list(aedat4.aedat4_blocks(recording))
