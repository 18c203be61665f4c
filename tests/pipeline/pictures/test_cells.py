"""Pillars as the network sees them: an independent slow count says what each cell shows."""

import itertools

import numpy as np
import pytest
from PIL import Image

from pipeline.cache.reader import PillarCache
from pipeline.pictures.cached_windows import label_rows, pillar_cells
from pipeline.pictures.cells import PillarCells, pillars_image, time_colours
from pipeline.pictures.colours import GROUND, track_colour
from tests.cli.data.commands import GRID, RECORDING, run
from tests.pipeline.releases import write_recording


@pytest.fixture(scope="module", params=["release", "paper"])
def windows(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_recording(folder / "release", RECORDING, seed=1)
    out = folder / "cache"
    options = (*GRID, "--preset", request.param)
    assert run("voxelize", folder / "release", out, *options).exit_code == 0
    return PillarCache(out).recording(RECORDING).read(2, 6)


def test_a_cell_holds_the_points_of_both_polarities_and_their_mean_time(windows):
    settings = windows.encoding.settings
    for k in range(len(windows)):
        expected = {}
        for polarity in (0, 1):
            pillars = windows.tensors(k, polarity)
            for number, (_, y, x) in enumerate(pillars.coords.tolist()):
                used = pillars.points[number, : pillars.num_points[number], 2]
                expected.setdefault((x, y), []).extend(used.tolist())
        cells = pillar_cells(windows, k)
        assert {tuple(xy) for xy in cells.xy.tolist()} == set(expected)
        for xy, points, time in zip(cells.xy.tolist(), cells.points, cells.times, strict=True):
            times = expected[tuple(xy)]
            assert points == len(times) <= 2 * settings.max_points
            assert time == pytest.approx(np.mean(times) / (settings.num_bins - 1), abs=1e-6)
        assert 0 <= cells.times.min() <= cells.times.max() <= 1


def test_labels_are_those_of_their_own_window(windows):
    every = [label_rows(windows, k) for k in range(len(windows))]
    np.testing.assert_array_equal(np.concatenate([one.tracks for one in every]), windows.tracks)
    np.testing.assert_array_equal(np.concatenate([one.boxes for one in every]), windows.boxes)


def test_later_points_are_warmer_and_more_points_brighter():
    cells = PillarCells(
        xy=np.array([[0, 0], [1, 0], [2, 1], [3, 1]]),
        points=np.array([10, 10, 1, 10]),
        times=np.array([0.0, 1.0, 0.5, 0.5]),
        most_points=10,
        grid_size=(2, 4),
    )
    pixels = np.asarray(pillars_image(cells, (8, 4))).astype(int)
    first, last, faint, full = pixels[0, 0], pixels[0, 2], pixels[2, 4], pixels[2, 6]
    np.testing.assert_array_equal(first, time_colours(np.array(0.0)))
    np.testing.assert_array_equal(last, time_colours(np.array(1.0)))
    assert first[2] > first[0]
    assert last[2] < last[0]
    np.testing.assert_allclose(faint, (np.array(GROUND) + full) / 2, atol=1)
    np.testing.assert_array_equal(pixels[0, 4], GROUND)
    assert pillars_image(cells, (8, 4)).size == (8, 4)
    assert isinstance(pillars_image(cells, (5, 3)), Image.Image)


def test_tracks_have_colours_of_their_own_whatever_their_number():
    colours = [track_colour(track) for track in [*range(50), 2**32 - 1]]
    assert len(set(colours)) == len(colours)
    for one, following in itertools.pairwise(colours[:50]):
        assert np.abs(np.subtract(one, following)).max() > 60
