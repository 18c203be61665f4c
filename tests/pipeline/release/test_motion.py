"""Speeds of boxes and ages of stops, against loops that look for a track's neighbours."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.release.label_checks import EventCells
from pipeline.release.motion import (
    MOVING,
    NEVER_MOVED,
    RESTING,
    SLOW,
    UNKNOWN,
    box_motion,
    counted_kinds,
    event_densities,
    summed_kinds,
    track_speeds,
)
from pipeline.release.shards import EVENT_DTYPE


def corners_at(places, side=40.0):
    places = np.asarray(places, float).reshape(-1, 2)
    return np.hstack([places, places + side])


def slow_speed(i, times, tracks, corners):
    """Of one box, by looking at all others."""
    own = [j for j in range(len(times)) if tracks[j] == tracks[i] != 0]
    earlier = [j for j in own if times[j] < times[i]]
    pair = i, max(earlier, key=lambda j: times[j], default=None)
    if pair[1] is None:
        later = [j for j in own if times[j] > times[i]]
        pair = i, min(later, key=lambda j: times[j], default=None)
    if pair[1] is None:
        return math.nan
    a, b = (corners[j] for j in pair)
    way = max(math.dist(a[:2], b[:2]), math.dist(a[2:], b[2:]))
    return way / abs(times[pair[0]] - times[pair[1]]) * 1e6


@st.composite
def recordings(draw):
    """Times, tracks and corners of boxes, each track once at a time; in any order."""
    keys = draw(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), unique=True))
    steps = st.sampled_from([0, 0, 0.4, 2, 3, 9])
    boxes = [(draw(steps), draw(steps), 40 + draw(steps), 40 + draw(steps)) for _ in keys]
    times = np.array([25_000 + 50_000 * k for k, _ in keys], np.int64)
    tracks = np.array([track for _, track in keys], np.int64)
    return times, tracks, np.array(boxes, float).reshape(-1, 4)


@given(recordings())
def test_a_speed_is_that_between_a_box_and_its_tracks_box_before(recording):
    expected = [slow_speed(i, *recording) for i in range(len(recording[0]))]
    np.testing.assert_allclose(track_speeds(*recording), expected)


@given(recordings())
def test_an_age_counts_windows_from_the_last_box_that_moved(recording):
    times, tracks, _ = recording
    found = box_motion(*recording)
    for i in range(len(times)):
        speed = slow_speed(i, *recording)
        kind = UNKNOWN if math.isnan(speed) else RESTING + (speed >= 20) + (speed >= 100)
        assert found.kinds[i] == kind
        moved = [
            times[j]
            for j in range(len(times))
            if tracks[j] == tracks[i] and times[j] < times[i] and slow_speed(j, *recording) >= 20
        ]
        age = (times[i] - max(moved)) // 50_000 if moved else NEVER_MOVED
        assert found.rests[i] == (age if kind == RESTING else 0)


def test_what_comes_closer_moves_and_what_goes_on_after_a_stop_is_new_again():
    # brakes, stands for three windows, starts, stands again
    places = [0, 10, 12, 12, 12, 12.4, 20, 20]
    times = 50_000 * np.arange(8)
    motion = box_motion(times, np.full(8, 7), corners_at([(x, 0) for x in places]))
    assert motion.kinds.tolist() == [
        MOVING,
        MOVING,
        SLOW,
        RESTING,
        RESTING,
        RESTING,
        MOVING,
        RESTING,
    ]
    assert motion.rests.tolist() == [0, 0, 0, 1, 2, 3, 0, 1]
    grown = np.array([[50.0, 50, 100, 100], [44, 44, 106, 106]])
    assert box_motion(times[:2], np.array([1, 1]), grown).kinds.tolist() == [MOVING, MOVING]


def test_an_object_that_was_hidden_at_rest_has_rested_all_the_time():
    times = 50_000 * np.array([0, 1, 2, 30])
    motion = box_motion(times, np.full(4, 3), corners_at([(0, 0), (9, 0), (9, 0), (9, 0)]))
    assert motion.rests.tolist() == [0, 0, 1, 29]


def test_boxes_without_a_track_are_judged_by_the_events_in_them():
    times, tracks = np.array([0, 0, 0, 50_000]), np.array([0, 5, 0, 0])
    corners = corners_at([(0, 0)] * 4)
    densities = np.array([0.1, 0.5, 2.0, np.nan])
    found = box_motion(times, tracks, corners, densities)
    assert found.kinds.tolist() == [RESTING, SLOW, MOVING, UNKNOWN]
    assert found.rests.tolist() == [0, 0, 0, 0]  # for how long, only tracks tell
    assert box_motion(times, tracks, corners).kinds.tolist() == [UNKNOWN] * 4
    assert counted_kinds(found) == {"resting": 1, "slow": 1, "moving": 1, "unknown": 1}
    assert summed_kinds([counted_kinds(found)] * 2)["slow"] == 2
    assert summed_kinds([])["slow"] == 0


def test_a_track_says_more_than_the_events():
    densities = np.array([9.0, 9.0])
    motion = box_motion(
        np.array([0, 50_000]), np.array([1, 1]), corners_at([(0, 0)] * 2), densities
    )
    assert motion.kinds.tolist() == [RESTING, RESTING]
    first = motion.rows(np.array([0]))
    assert (first.kinds.tolist(), first.rests.tolist()) == ([RESTING], [NEVER_MOVED])


def test_densities_are_events_in_the_cells_that_a_box_touches():
    rng = np.random.default_rng(0)
    events = np.zeros(4000, EVENT_DTYPE)
    events["x"], events["y"] = rng.integers(0, 64, 4000), rng.integers(0, 48, 4000)
    cells = EventCells((64, 48))
    cells.count(events)
    assert cells.bits == 2  # cells of 4 × 4 pixels
    boxes = np.array(
        [
            [8, 8, 24, 20],
            [9.5, 11.9, 20.1, 30],
            [-20, 40, 12, 90],
            [64, 0, 80, 10],
            [40, 9, 30, 20],
            [np.nan, 0, 10, 10],
            [0, 0, np.inf, np.inf],
        ]
    )
    found = event_densities(cells.sums, (4, 4), boxes)
    x, y = events["x"].astype(int), events["y"].astype(int)
    touched = [(8, 8, 24, 20), (8, 8, 24, 32), (0, 40, 12, 48), None, None, None, None]
    for area, density in zip(touched, found, strict=True):
        if area is None:
            assert np.isnan(density)
            continue
        x1, y1, x2, y2 = area
        inside = ((x >= x1) & (x < x2) & (y >= y1) & (y < y2)).sum()
        assert density == pytest.approx(inside / ((x2 - x1) * (y2 - y1)) / 0.05)
