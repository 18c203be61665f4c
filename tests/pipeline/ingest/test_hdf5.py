"""HDF5 recordings in the layouts of several makers and data sets."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import RecordingError
from pipeline.ingest import hdf5
from pipeline.ingest.raw_recording import RawRecording, open_raw
from pipeline.release.shards import EVENT_DTYPE


def some_events(count: int = 500) -> np.ndarray:
    rng = np.random.default_rng(3)
    events = np.zeros(count, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, 900_000, count))
    events["x"], events["y"] = rng.integers(0, 64, count), rng.integers(0, 48, count)
    events["p"] = rng.integers(0, 2, count)
    return events


def all_events(recording: RawRecording) -> np.ndarray:
    return np.concatenate([*recording.blocks(), np.empty(0, EVENT_DTYPE)])


def write_dsec(path: Path, events: np.ndarray, offset: int) -> None:
    with h5py.File(path, "w") as file:
        for name in "xytp":
            file[f"events/{name}"] = events[name]
        file["ms_to_idx"] = np.searchsorted(events["t"], np.arange(0, 900_000, 1000)).astype("<u8")
        file["t_offset"] = np.int64(offset)


def test_dsec_counts_from_its_offset_and_has_its_own_sensor(tmp_path: Path) -> None:
    events = some_events()
    write_dsec(tmp_path / "a.h5", events, 49_599_300_523)
    recording = open_raw(tmp_path / "a.h5")
    assert (recording.sensor, recording.format) == ((640, 480), "HDF5")
    shift = 49_599_300_523 - recording.begin_us
    assert 0 <= shift + int(events["t"][0]) < 50_000
    assert recording.begin_us % 50_000 == 0
    found = all_events(recording)
    assert (found["t"] == events["t"] + shift).all()
    assert (found[["x", "y", "p"]] == events[["x", "y", "p"]]).all()


def test_a_near_clock_is_kept_as_it_is(tmp_path: Path) -> None:
    events = some_events()
    write_dsec(tmp_path / "a.h5", events, 4_000_000_000)
    recording = open_raw(tmp_path / "a.h5")
    assert recording.begin_us == 0
    assert all_events(recording)["t"][0] == 4_000_000_000 + int(events["t"][0])


@pytest.mark.parametrize("seconds", [False, True])
@pytest.mark.parametrize("polarities", ["<u1", "?", "<i1"])
def test_the_plural_names_may_hold_seconds_and_signs(
    tmp_path: Path, seconds: bool, polarities: str
) -> None:
    events = some_events()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events/xs"], file["events/ys"] = events["x"], events["y"]
        file["events/ts"] = events["t"] / 1e6 if seconds else events["t"]
        signed = np.where(events["p"] == 1, 1, -1) if polarities == "<i1" else events["p"]
        file["events/ps"] = signed.astype(polarities)
    recording = open_raw(tmp_path / "a.h5", (64, 48))
    assert (all_events(recording) == events).all()


@pytest.mark.parametrize("geometry", ["64x48", None])
def test_metavision_keeps_a_table(tmp_path: Path, geometry: str | None) -> None:
    events = some_events()
    table = np.zeros(len(events), [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for name in "xypt":
        table[name] = events[name]
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("CD/events", data=table, chunks=(64,), compression="gzip")
        if geometry:
            file.attrs["geometry"] = geometry
    if geometry is None:
        with pytest.raises(RecordingError, match="does not state the sensor size"):
            open_raw(tmp_path / "a.hdf5")
    recording = open_raw(tmp_path / "a.hdf5", (64, 48))
    assert (all_events(recording) == events).all()


def test_ecf_without_its_plugin_says_what_to_install(tmp_path: Path) -> None:
    kind = h5py.h5t.py_create(np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")]))
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((64,))
        settings.set_filter(0x8ECF, h5py.h5z.FLAG_OPTIONAL, ())
        group = file.create_group("CD")
        h5py.h5d.create(group.id, b"events", kind, h5py.h5s.create_simple((0,)), settings)
    with pytest.raises(RecordingError, match=r"compressed with ECF.*HDF5_PLUGIN_PATH"):
        open_raw(tmp_path / "a.hdf5", (64, 48))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"t": None}, "events/t is missing"),
        ({"p": np.full(500, 2, np.uint8)}, r"events/p leaves the range 0…1"),
        ({"x": np.full(500, -1, np.int32)}, r"events/x leaves the range"),
        ({"y": np.zeros(499, np.uint16)}, "differ in length"),
        ({"t": np.zeros(500)}, "events/t is missing or is not a row of integers"),
    ],
)
def test_what_no_event_can_have_names_its_data_set(tmp_path: Path, change: dict, says: str) -> None:
    events = some_events()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "xytp":
            column = change.get(name, events[name])
            if column is not None:
                file[f"events/{name}"] = column
        file["events/width"], file["events/height"] = 64, 48
    with pytest.raises(RecordingError, match=says):
        list(open_raw(tmp_path / "a.h5").blocks())


def test_seconds_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, column in (("xs", [1, 2]), ("ys", [1, 2]), ("ps", [0, 1])):
            file[f"events/{name}"] = np.array(column, np.uint8)
        file["events/ts"] = np.array([0.1, np.nan])
    with pytest.raises(RecordingError, match="events/ts holds times that are no numbers"):
        open_raw(tmp_path / "a.h5", (64, 48))


def test_blocks_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = some_events()
    write_dsec(tmp_path / "a.h5", events, 0)
    monkeypatch.setattr(hdf5, "BLOCK_EVENTS", 7)
    assert (all_events(open_raw(tmp_path / "a.h5")) == events).all()
