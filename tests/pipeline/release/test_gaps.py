"""The gap rule, window by window."""

import numpy as np
import pytest

from pipeline.defects import EventFacts
from pipeline.release.gaps import Clock, WindowTime, follows, window_time
from pipeline.release.shards import LABEL_DTYPE, WINDOW_US

NOTHING = WindowTime(None, None)


def events(slot):
    return WindowTime(slot * WINDOW_US + 7, None)


def boxes(slot):
    return WindowTime(None, slot * WINDOW_US + 7)


@pytest.mark.parametrize(
    ("times", "slots", "gaps"),
    [
        ([events(10), events(11), events(12)], [10, 11, 12], []),
        ([events(10), events(13), events(14)], [10, 13, 14], [1]),
        ([events(10), events(5), events(6)], [10, 5, 6], [1]),
        ([events(10), NOTHING, NOTHING, events(13)], [10, 11, 12, 13], []),
        ([events(10), NOTHING, events(14)], [10, 11, 14], [2]),
        ([NOTHING, NOTHING, events(12), events(13)], [0, 1, 12, 13], []),
        ([boxes(10), NOTHING, events(12)], [10, 11, 12], []),
        ([events(10), boxes(11), events(12)], [10, 11, 12], []),
        ([events(10), boxes(14), events(15)], [10, 14, 15], [1]),
        ([events(10), boxes(0), events(12)], [10, 11, 12], []),  # boxes without a time
        ([events(10), WindowTime(None, 2**64 - 1), events(12)], [10, 11, 12], []),
    ],
)
def test_each_window_has_a_place_and_gaps_are_where_the_clock_jumps(times, slots, gaps):
    clock = Clock()
    places = [clock.place(time) for time in times]
    assert [place.begin for place in places] == [slot * WINDOW_US for slot in slots]
    assert [k for k, place in enumerate(places) if place.is_gap] == gaps


def test_events_tell_the_time_before_boxes_and_a_damaged_window_tells_none():
    labels = np.zeros(2, LABEL_DTYPE)
    labels["t"] = 900, 800
    with_events = EventFacts(3, 2, 1, 500, 600, True)
    empty = EventFacts(0, 0, 0, None, None, True)
    assert window_time(with_events, labels) == (500, None)
    assert window_time(empty, labels) == (None, 800)
    assert window_time(empty, labels[:0]) == window_time(empty, None) == NOTHING
    assert window_time(None, labels) == NOTHING


def test_a_window_follows_the_one_kept_50_ms_before_it():
    assert follows(WINDOW_US, 0)
    assert not follows(2 * WINDOW_US, 0)
    assert not follows(0, None)
