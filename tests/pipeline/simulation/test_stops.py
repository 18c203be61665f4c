"""Clocks that stop: smooth, exact while they stand, and the time of day without stops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulation.stops import Clock, Stop, undisturbed

LENGTHS = st.floats(0.1, 4.0)


@st.composite
def stops(draw):
    found, begin = [], draw(st.floats(-1.0, 2.0))
    for _ in range(draw(st.integers(1, 3))):
        found.append(Stop(begin, draw(LENGTHS), draw(LENGTHS), draw(LENGTHS)))
        begin = found[-1].end + draw(st.floats(0.0, 2.0))
    return found


def rate(stop, seconds):
    """Share of the usual speed, by the definition alone."""
    if stop.begin <= seconds < stop.rest:
        u = (seconds - stop.begin) / stop.brake
        return 1 - u * u * (3 - 2 * u)
    if stop.rest <= seconds < stop.go:
        return 0.0
    if stop.go <= seconds < stop.end:
        u = (seconds - stop.go) / stop.start
        return u * u * (3 - 2 * u)
    return 1.0


@given(stops())
def test_a_clock_shows_the_integral_of_its_rate(found):
    clock = Clock(found)
    start, end = found[0].begin - 0.5, found[-1].end + 0.5
    edges = np.linspace(start, end, 4001)
    middles = (edges[1:] + edges[:-1]) / 2
    rates = np.array([np.prod([rate(stop, t) for stop in found]) for t in middles])
    expected = clock.at(start) + np.concatenate([[0], np.cumsum(rates * np.diff(edges))])
    np.testing.assert_allclose([clock.at(t) for t in edges], expected, atol=1e-4)
    assert clock.at(start) == start  # before it first stops it is the time of day


@given(stops(), st.lists(st.floats(0.0, 1.0), min_size=2, max_size=9))
def test_a_clock_that_stands_always_shows_the_same_number(found, shares):
    clock = Clock(reversed(found))  # in any order
    for stop in found:
        times = [stop.rest + 1e-9 + share * (stop.stand - 2e-9) for share in shares]
        assert len({clock.at(t) for t in times}) == 1


def test_a_clock_without_stops_is_the_time_of_day_to_the_last_bit():
    timing = undisturbed(2)
    for seconds in (-0.25, 0.1, 1 / 3, 59.9):
        assert timing.ego.at(seconds) == timing.own[1].at(seconds) == seconds
    assert timing.carried == (None, None)


def test_speed_and_acceleration_have_no_jump():
    stop = Stop(1.0, 0.8, 0.5, 1.1)
    clock = Clock([stop])
    times = np.arange(0.5, 4.0, 1e-3)
    speed = np.diff([clock.at(t) for t in times]) / 1e-3
    hardest = 1.5 / 0.8  # of the time of day a second
    assert np.abs(np.diff(speed)).max() == pytest.approx(hardest * 1e-3, rel=0.01)
    assert np.abs(np.diff(speed, 2)).max() < 2e-5  # a jump of acceleration would be 2e-3
