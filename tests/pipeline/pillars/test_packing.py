"""Both presets against reference arrays and against slow formulations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, SettingsError
from pipeline.pillars.encoding import PillarEncoding
from pipeline.pillars.packing import PackedWindow, Workspace, pack_window
from pipeline.pillars.unpacking import PillarTensors, decode_points
from tests.pipeline.windows import (
    CellMap,
    encoding_of,
    events,
    random_windows,
    slow_paper,
    slow_release,
)

SMALL = {"sensor": (20, 13), "grid": (8, 6)}


def decoded(window: PackedWindow, polarity: int, s: PillarEncoding) -> PillarTensors:
    return decode_points(window.pillars[polarity], window.points[polarity], window.span, s)


def as_map(tensors: PillarTensors) -> CellMap:
    return {
        tuple(int(v) for v in cell): [tuple(float(v) for v in point) for point in points[:n]]
        for cell, points, n in zip(tensors.coords, tensors.points, tensors.num_points, strict=True)
    }


def golden_map(voxels: np.ndarray, coords: np.ndarray, counts: np.ndarray) -> CellMap:
    return as_map(PillarTensors(voxels, counts.astype(int), coords.astype(int)))


def polarities_after_deduplication(window: np.ndarray) -> set[int]:
    """Polarities of the earliest event of every sensor pixel."""
    inside = window[(window["x"] < 1280) & (window["y"] < 720)]
    _, first = np.unique(inside["y"] * 1280 + inside["x"].astype(int), return_index=True)
    return set(inside["p"][first].tolist())


@pytest.mark.parametrize(("mode", "preset"), [("uint32", "release"), ("float64", "paper")])
def test_golden_voxels_are_reproduced(golden, mode, preset):
    # Exact. Inside a pillar the reference's order is only defined up to equal times: compare sorted.
    # Where equal times decide which points a full pillar keeps, the reference names the cell.
    s = encoding_of(preset=preset, overflow="stop")
    workspace = Workspace(s)
    with np.load(golden / "voxels.npz") as arrays:
        groups = {name.split("/")[0] for name in arrays.files}
        assert groups
        for group in sorted(groups):
            window = pack_window(arrays[f"{group}/events"], workspace)
            polarities = polarities_after_deduplication(arrays[f"{group}/events"])
            for polarity, name in ((0, "neg"), (1, "pos")):
                stem = f"{group}/{mode}/{name}"
                undefined = {(0, y, x) for y, x in arrays[f"{stem}_tie_ambiguous_yx"].tolist()}
                expected = golden_map(
                    arrays[f"{stem}_voxels"],
                    arrays[f"{stem}_coors"],
                    arrays[f"{stem}_num_points"],
                )
                if preset == "paper" and polarity not in polarities:
                    expected = {}  # the release copies the other polarity; this preset does not
                found = as_map(decoded(window, polarity, s))
                assert found.keys() == expected.keys(), stem
                for cell in found.keys() - undefined:
                    assert sorted(found[cell]) == sorted(expected[cell]), (stem, cell)
                for cell in undefined:
                    assert len(found[cell]) == len(expected[cell]), (stem, cell)


@pytest.mark.parametrize("time_cells", [1, 2, 4])
@pytest.mark.parametrize("max_pillars", [3, 1000])
@settings(max_examples=60)
@given(window=random_windows(SMALL["sensor"]), num_bins=st.sampled_from([2, 5, 32, 33, 255]))
def test_release_kernel_equals_the_slow_formulation(time_cells, max_pillars, window, num_bins):
    s = encoding_of(
        "release", **SMALL, num_bins=num_bins, time_cells=time_cells, max_pillars=max_pillars
    )
    packed = pack_window(window, Workspace(s))
    for polarity, expected in enumerate(slow_release(window, s)):
        assert as_map(decoded(packed, polarity, s)) == expected


@pytest.mark.parametrize("dedup", ["pixel", "none"])
@pytest.mark.parametrize("overflow", ["skip", "stop"])
@settings(max_examples=60)
@given(
    window=random_windows(SMALL["sensor"]),
    time_cells=st.sampled_from([1, 4]),
    max_points=st.integers(1, 7),
    max_pillars=st.sampled_from([2, 1000]),
)
def test_paper_kernel_equals_the_slow_formulation(
    dedup, overflow, window, time_cells, max_points, max_pillars
):
    s = encoding_of(
        "paper",
        **SMALL,
        time_cells=time_cells,
        max_points=max_points,
        max_pillars=max_pillars,
        dedup=dedup,
        overflow=overflow,
    )
    packed = pack_window(window, Workspace(s))
    for polarity, expected in enumerate(slow_paper(window, s)):
        assert as_map(decoded(packed, polarity, s)) == expected


@pytest.mark.parametrize("preset", ["release", "paper"])
@given(window=random_windows(SMALL["sensor"]))
def test_workspace_is_clean_after_a_window(preset, window):
    workspace = Workspace(encoding_of(preset, **SMALL))
    pack_window(window, workspace)
    again = pack_window(window, workspace)
    fresh = pack_window(window, Workspace(workspace.encoding))
    for polarity in (0, 1):
        np.testing.assert_array_equal(again.pillars[polarity], fresh.pillars[polarity])
        np.testing.assert_array_equal(again.points[polarity], fresh.points[polarity])


@pytest.mark.parametrize("preset", ["release", "paper"])
def test_workspace_is_clean_after_hundreds_of_windows(preset):
    rng = np.random.default_rng(8)
    s = encoding_of(preset, **SMALL)
    workspace = Workspace(s)
    for number in range(600):  # more than a byte can count
        t = np.sort(rng.integers(0, 1000, 12))
        x, y, p = rng.integers(0, 20, 12), rng.integers(0, 13, 12), rng.integers(0, 2, 12)
        window = events(list(zip(t, x, y, p, strict=True)))
        packed, fresh = pack_window(window, workspace), pack_window(window, Workspace(s))
        for polarity in (0, 1):
            assert as_map(decoded(packed, polarity, s)) == as_map(decoded(fresh, polarity, s)), (
                number
            )


@pytest.mark.parametrize(("time_steps", "time_cells"), [(2, 1), (7, 1), (256, 4), (4096, 4)])
@given(window=random_windows(SMALL["sensor"]))
def test_time_in_steps_differs_from_exact_time_by_half_a_step_at_most(
    time_steps, window, time_cells
):
    exact = encoding_of("paper", **SMALL, time_cells=time_cells)
    stepped = encoding_of("paper", **SMALL, time_cells=time_cells, time_steps=time_steps)
    packed, reference = (
        pack_window(window, Workspace(stepped)),
        pack_window(window, Workspace(exact)),
    )
    sub_bits = sum(exact.sub_bits)
    for polarity in (0, 1):
        assert packed.pillars[polarity].tolist() == reference.pillars[polarity].tolist()
        values = packed.points[polarity].tolist()
        for value, wanted in zip(values, reference.points[polarity].tolist(), strict=True):
            assert value % (1 << sub_bits) == wanted % (1 << sub_bits)
            step = (wanted >> sub_bits) * time_steps // max(packed.span, 1)
            assert value >> sub_bits == step < time_steps
        found, true = decoded(packed, polarity, stepped), decoded(reference, polarity, exact)
        used = np.arange(exact.settings.max_points) < true.num_points[:, None]
        np.testing.assert_array_equal(found.points[..., :2], true.points[..., :2])
        error = np.abs(found.points[..., 2] - true.points[..., 2])[used]
        assert (error <= (exact.settings.num_bins - 1) / time_steps / 2 + 1e-6).all()
        assert not found.points[~used].any()


@pytest.mark.parametrize(
    ("sensor", "time_steps", "dtype"),
    [
        ((1280, 720), 0, np.uint32),
        ((1280, 720), 256, np.uint16),
        ((1280, 720), 4096, np.uint16),
        ((16384, 16384), 256, np.uint32),
    ],
)
def test_time_in_steps_takes_half_the_bytes_where_the_bits_allow(sensor, time_steps, dtype):
    assert encoding_of("paper", sensor, time_steps=time_steps).point_dtype == dtype


@pytest.mark.parametrize("preset", ["release", "paper"])
@given(window=random_windows(SMALL["sensor"]))
def test_pillars_are_sorted_by_cell_and_their_points_by_time(preset, window):
    s = encoding_of(preset, **SMALL, time_cells=2)
    packed = pack_window(window, Workspace(s))
    for polarity in (0, 1):
        tensors = decoded(packed, polarity, s)
        cells = [tuple(c) for c in tensors.coords]
        assert cells == sorted(set(cells))
        for points, n in zip(tensors.points, tensors.num_points, strict=True):
            assert list(points[:n, 2]) == sorted(points[:n, 2])
            assert not points[n:].any()


@pytest.mark.parametrize("sensor", [(1280, 720), (640, 480), (304, 240), (512, 512)])
@pytest.mark.parametrize("grid", [(512, 512), (128, 128), (96, 64)])
def test_every_pixel_survives_packing_in_the_paper_preset(sensor, grid):
    s = encoding_of("paper", sensor, grid=grid, max_points=1, dedup="none")
    workspace = Workspace(s)
    for x in range(0, sensor[0], 7):
        y = (x * 3) % sensor[1]
        window = pack_window(events([(5, x, y, 1), (9, 0, 0, 0)]), workspace)
        point = decoded(window, 1, s).points[0, 0]
        assert point[0] == np.float32(x / sensor[0] * grid[0])
        assert point[1] == np.float32(y / sensor[1] * grid[1])


@pytest.mark.parametrize("preset", ["release", "paper"])
class TestEdgeCases:
    def pack(self, preset, rows):
        s = encoding_of(preset)
        return pack_window(events(rows), Workspace(s)), s

    def test_no_event_in_range_gives_an_empty_window(self, preset):
        for rows in ([], [(10, 1280, 5, 1), (20, 5, 720, 0)]):
            window, _ = self.pack(preset, rows)
            assert window.counts.in_range == 0
            assert not any(len(p) for p in window.pillars)

    def test_one_timestamp_keeps_its_events_at_time_zero(self, preset):
        window, s = self.pack(preset, [(7, 10, 10, 1), (7, 90, 90, 0)])
        for polarity in (0, 1):
            tensors = decoded(window, polarity, s)
            assert tensors.num_points.tolist() == [1]
            assert tensors.points[0, 0, 2] == 0

    def test_a_single_event_is_kept(self, preset):
        window, _ = self.pack(preset, [(7, 10, 10, 1)])
        assert len(window.pillars[1]) == 1

    def test_only_survivor_in_the_last_instant_gives_zero_pillars(self, preset):
        window, _ = self.pack(preset, [(0, 10, 10, 1), (5, 50, 50, 1), (9, 90, 90, 0)])
        assert [len(p) for p in window.pillars] == [0, 2]

    def test_events_of_the_last_instant_count_as_kept_and_are_in_no_pillar(self, preset):
        rows = [(0, 10, 10, 1), (5, 50, 50, 0), (9, 90, 90, 0), (9, 130, 130, 1)]
        window, _ = self.pack(preset, rows)
        assert window.counts.kept == 4
        assert [len(p) for p in window.pillars] == [1, 1]

    def test_unsorted_events_are_sorted_and_reported(self, preset):
        rows = [(9, 10, 10, 1), (0, 50, 50, 0), (5, 10, 10, 0)]
        window, s = self.pack(preset, rows)
        ordered, _ = self.pack(preset, sorted(rows))
        assert not window.was_sorted
        assert ordered.was_sorted
        for polarity in (0, 1):
            assert as_map(decoded(window, polarity, s)) == as_map(decoded(ordered, polarity, s))


def test_a_missing_polarity_is_copied_in_release_and_stays_empty_in_paper():
    rows = events([(0, 10, 10, 1), (5, 50, 50, 1), (9, 90, 90, 1)])
    release = pack_window(rows, Workspace(encoding_of("release")))
    paper = pack_window(rows, Workspace(encoding_of("paper")))
    np.testing.assert_array_equal(release.pillars[0], release.pillars[1])
    assert len(release.pillars[0]) == 2
    assert [len(p) for p in paper.pillars] == [0, 2]


def test_a_window_too_long_for_packed_time_is_refused():
    rows = events([(0, 10, 10, 1), (2**32 - 1, 50, 50, 1)])
    with pytest.raises(DataError, match="spans 4294967295 µs"):
        pack_window(rows, Workspace(encoding_of("paper")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"preset": "paper2"},
        {"max_points": 8},
        {"max_points": 0},
        {"dedup": "cell"},
        {"grid": (0, 512)},
        {"num_bins": 1},
        {"grid": (32768, 32768)},
        {"preset": "release", "time_steps": 256},
        {"preset": "paper", "time_steps": 1},
        {"preset": "paper", "time_steps": 5000},
        {"preset": "paper", "time_steps": 7, "time_cells": 4},
        {"preset": "paper", "time_steps": 4096, "grid": (1, 1)},  # 33 bits
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError):
        encoding_of(**wrong)


@pytest.mark.parametrize(
    ("preset", "pillars", "points"),
    [
        ("release", [8 * 48 + 1], [0]),  # a cell beyond the grid of 48
        ("release", [8 * 3 + 2], [0]),  # two points promised, one there
        ("release", [8 * 3], []),  # a pillar without a point
        ("release", [8 * 3 + 6], [0] * 6),  # more than max_points
        ("paper", [8 * 47 + 1], [3]),  # a pixel beyond the sensor
    ],
)
def test_packed_integers_that_contradict_each_other_are_refused(preset, pillars, points):
    s = encoding_of(preset, **SMALL)
    with pytest.raises(DataError, match="do not fit"):
        decode_points(np.array(pillars, np.uint32), np.array(points, s.point_dtype), 10, s)
