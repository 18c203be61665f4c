"""Every layout the comparison measures gives back exactly what the pipeline decodes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.layout_candidates import CELLS, Arrays, Pillars, Rows, candidates, pillars_of
from benchmarks.layouts import CODECS, MAIN_CHUNK, SAMPLE, Figures, Stored, Variant, check, table
from pipeline.pillars.packing import Workspace, pack_window
from pipeline.release.shards import EVENT_DTYPE
from tests.pipeline.windows import encoding_of

PRESETS = ("release", "paper")
SENSORS = ((1280, 720), (640, 480))
LAYOUTS = [
    (preset, sensor, layout.name)
    for preset in PRESETS
    for sensor in SENSORS
    for layout in candidates(encoding_of(preset, sensor))
]


def events_of(rng: np.random.Generator, sensor: tuple[int, int], count: int) -> np.ndarray:
    """One window: a band of neighbouring pixels, lone ones, and the sensor's last pixel."""
    events = np.zeros(count, EVENT_DTYPE)
    width, height = sensor
    lone = rng.random(count) < 0.2
    events["x"] = np.where(lone, rng.integers(width, size=count), rng.integers(100, size=count))
    events["y"] = np.where(lone, rng.integers(height, size=count), rng.integers(30, size=count))
    events["p"] = rng.integers(2, size=count)
    events["t"] = np.sort(rng.integers(50_000, size=count))
    events[:1]["x"], events[:1]["y"] = width - 1, height - 1
    return events


def windows_of(preset: str, sensor: tuple[int, int], counts: list[int], seed: int) -> Pillars:
    encoding = encoding_of(preset, sensor)
    workspace = Workspace(encoding)
    rng = np.random.default_rng(seed)
    packed = [pack_window(events_of(rng, sensor, count), workspace) for count in counts]
    return pillars_of(packed, encoding)


def layout_named(preset: str, sensor: tuple[int, int], name: str):
    encoding = encoding_of(preset, sensor)
    return next(layout for layout in candidates(encoding) if layout.name == name)


@pytest.mark.parametrize(("preset", "sensor", "name"), LAYOUTS)
def test_a_layout_gives_back_the_pipelines_pillars(preset, sensor, name):
    windows = windows_of(preset, sensor, [3000, 0, 1, 40, 500], seed=7)
    layout = layout_named(preset, sensor, name)
    found = layout.decode(layout.encode(windows), windows.offsets)
    expected = layout.form(windows)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(("preset", "sensor", "name"), LAYOUTS)
def test_a_part_of_the_rows_decodes_alone(preset, sensor, name):
    windows = windows_of(preset, sensor, [300, 20, 700, 90], seed=8)
    layout = layout_named(preset, sensor, name)
    part: Arrays = {}
    for array, (rows, starts) in layout.encode(windows).items():
        own = starts[2 : 2 * 3 + 1]
        part[array] = Rows(rows[own[0] : own[-1]], own - own[0])
    middle = windows.part(1, 3)
    for ours, theirs in zip(layout.decode(part, middle.offsets), layout.form(middle), strict=True):
        assert np.array_equal(ours, theirs)


@given(
    st.lists(
        st.one_of(
            st.sampled_from([0, 1, 30, 31, 62, 63, 64, 126, 254, 255, 256, 510, 8189, 8190, 8191]),
            st.sampled_from([8192, 16382, 16383, 16384, 32766, CELLS - 1]),
            st.integers(0, CELLS - 1),
        ),
        max_size=12,
        unique=True,
    ),
    st.sampled_from(PRESETS),
)
def test_steps_of_every_length_come_back(cells, preset):
    encoding = encoding_of(preset)
    count = len(cells)
    ordered = np.sort(np.array(cells, np.uint32))
    held = np.ones(count, np.uint8) if preset == "release" else (np.arange(count) % 5 + 1)
    points = np.arange(held.sum(), dtype=np.int64) * 37 % (4 if preset == "release" else 1 << 19)
    windows = Pillars(
        cells=ordered,
        counts=held.astype(np.uint8),
        points=points.astype(encoding.point_dtype),
        offsets=np.array([[0, 0], [count, held.sum()], [count, held.sum()]], np.int64),
        tensors=np.zeros((count, 5, 3), np.float32),
        coords=np.zeros((count, 3), np.int64),
    )
    for layout in candidates(encoding):
        if layout.name != "plain":  # its x and y need points on the sensor
            found = layout.decode(layout.encode(windows), windows.offsets)
            for ours, theirs in zip(found, layout.form(windows), strict=True):
                assert np.array_equal(ours, theirs), layout.name


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_read_back_from_disk_is_exact_and_a_changed_sample_is_noticed(tmp_path, codec):
    windows = windows_of("release", SENSORS[0], [200] * (SAMPLE + 2), seed=9)
    layout = layout_named("release", SENSORS[0], "joined bytes")
    stored = Stored(Variant(layout, codec, 1 << 10), layout.encode(windows), tmp_path / "a")
    check(stored, windows, 2)
    windows.points[windows.offsets[4, 1]] ^= 1
    with pytest.raises(AssertionError, match="joined bytes"):
        check(stored, windows, 2)


def test_the_table_has_a_row_for_each_layout_and_a_column_for_each_codec():
    figures = [
        Figures(layout, "", codec, MAIN_CHUNK, size, size / 1000, 1.0, 2.0, 3.0)
        for layout, size in (("steps", 100.0), ("bitmap", 90.0))
        for codec in ("zstd1-bitshuffle", "lz4-shuffle")
    ]
    lines = table(figures).splitlines()
    assert lines[0].startswith("| layout | zstd1-bitshuffle | lz4-shuffle |")
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| steps", "| bitmap"]
    assert "10.00 % 3.0" in lines[2]
