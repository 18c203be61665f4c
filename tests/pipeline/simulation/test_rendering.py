"""Drawing: coverage against exact areas, silhouettes against a slow formulation, sparse against full."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.simulation.rendering import draw_parts, mark_parts
from pipeline.simulation.traffic import random_scene

TILE = np.zeros((4, 4), np.float32)


def part_arrays(*parts):
    """``parts``: (corner list, radius) each, as the kernels take them."""
    points = np.zeros((len(parts), 8, 2))
    for row, (corners, _) in zip(points, parts, strict=True):
        row[: len(corners)] = corners
    counts = np.array([len(corners) for corners, _ in parts])
    return points, counts, np.array([float(radius) for _, radius in parts])


def draw(image, *parts, step=1):
    points, counts, radii = part_arrays(*parts)
    n = len(parts)
    draw_parts(image, step, points, counts, radii, np.ones(n), np.zeros(n), np.zeros((n, 4)), TILE)
    return image


def regular(corners, x, y, radius, turn=0.0, clockwise=False):
    angles = turn + np.arange(corners) * 2 * math.pi / corners
    if clockwise:
        angles = angles[::-1]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


polygons = st.builds(
    regular,
    st.integers(3, 8),
    st.floats(25, 35),
    st.floats(25, 35),
    st.floats(3, 20),
    st.floats(0, 6.3),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(corners=polygons)
def test_a_polygon_covers_its_exact_area_whichever_way_its_corners_run(corners):
    covered = draw(np.zeros((60, 60), np.float32), (corners, 0.0)).sum()
    x, y = np.array(corners).T
    area = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    assert covered == pytest.approx(area, rel=0.02, abs=2.5)  # corners are not anti-aliased exactly


@pytest.mark.parametrize("length", [0.0, 7.3, 20.0])
def test_a_capsule_covers_its_exact_area(length):
    ends = [(20.2, 20.7), (20.2 + length * 0.6, 20.7 + length * 0.8)]
    covered = draw(np.zeros((60, 60), np.float32), (ends, 6.5)).sum()
    assert covered == pytest.approx(math.pi * 6.5**2 + 13 * length, rel=0.01)


def test_an_edge_that_moves_by_a_part_of_a_pixel_changes_the_intensity_by_that_part():
    def column(x):
        box = [(x, 2), (12, 2), (12, 8), (x, 8)]
        return draw(np.zeros((10, 16), np.float32), (box, 0.0))[5]

    assert column(4.0)[3:5].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(column(4.3)[3:6], [0.0, 0.7, 1.0], atol=1e-6)
    np.testing.assert_allclose(column(3.9)[3:6], [0.1, 1.0, 1.0], atol=1e-6)


@settings(max_examples=60, deadline=None)
@example(corners=[(28, 25), (25, 28), (22, 25), (25, 22)], shift=(1.0, 0.0))  # centres on edges
@given(corners=polygons, shift=st.tuples(st.floats(-40, 40), st.floats(-40, 40)))
def test_the_marked_pixels_are_those_whose_centre_is_inside_also_across_the_border(corners, shift):
    corners = np.array(corners) + shift
    points, counts, radii = part_arrays((corners.tolist(), 0.0))
    owner = np.full((50, 60), -1, np.int32)
    owned = mark_parts(owner, points, counts, radii, np.zeros(1, np.int64))
    y, x = np.mgrid[:50, :60] + 0.5
    sides = []
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        sides.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
    sides = np.array(sides) * np.sign(np.sum(sides))  # whichever way round the corners go
    inside, outside = (sides > 1e-6).all(axis=0), (sides < -1e-6).any(axis=0)
    assert (owner[inside] == 0).all()  # a centre exactly on an edge may be either
    assert (owner[outside] == -1).all()
    assert owned[0] == (owner == 0).sum()


def test_a_part_drawn_later_hides_the_earlier_one_and_the_counts_say_so():
    low, high = [(0, 0), (10, 0), (10, 10), (0, 10)], [(5, 0), (20, 0), (20, 10), (5, 10)]
    points, counts, radii = part_arrays((low, 0.0), (high, 0.0))
    owner = np.full((10, 20), -1, np.int32)
    owned = mark_parts(owner, points, counts, radii, np.array([0, 1]))
    assert owned.tolist() == [50, 150]
    assert (owner[:, :5] == 0).all()
    assert (owner[:, 5:] == 1).all()


@pytest.mark.parametrize("step", [2, 3, 7])
def test_a_sparse_drawing_has_the_values_of_the_full_one(step):
    scene = random_scene((160, 90), (0.5, 2.5), range(7), [1] * 7, 8, 1.0, np.random.default_rng(1))
    np.testing.assert_array_equal(scene.draw(1.2, step), scene.draw(1.2)[::step, ::step])


def test_the_street_moves_with_the_camera_and_stands_without_it():
    def empty(activity):
        rng = np.random.default_rng(4)
        return random_scene((160, 90), (0.5, 2.5), range(7), [1] * 7, 0, activity, rng)

    moving, standing = empty(1.0), empty(0.0)
    np.testing.assert_array_equal(standing.draw(0.5), standing.draw(2.0))
    assert np.abs(moving.draw(0.5) - moving.draw(2.0)).mean() > 0.02
    assert np.abs(moving.draw(0.5) - moving.draw(0.5001)).mean() < 0.002
