"""The gap rule: where a window stands on its recording's clock, and whether it follows.

A shard's number is no clock: recordings have holes, and the numbers go on over them. A window's
place comes from its own content, so a window that is damaged, or holds nothing at all, has none. It
is taken to fill the 50 ms after the window before it, so that one fault is not counted twice.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.defects import EventFacts
from pipeline.release.shards import EVENT_DTYPE, WINDOW_US

_LAST_TIME = int(np.iinfo(EVENT_DTYPE["t"]).max)  # no window of events lies beyond it


class WindowTime(NamedTuple):
    """What a window says about its time, in µs; ``None`` where it says nothing.

    Attributes:
        events: Its first event inside the sensor, its first event where none is inside.
        boxes: Its first box; only of a window that has no event.
    """

    events: int | None
    boxes: int | None


class Place(NamedTuple):
    """Begin of a window on the clock in µs, and whether it leaves a gap to the one before it."""

    begin: int
    is_gap: bool


def window_time(facts: EventFacts | None, labels: np.ndarray | None) -> WindowTime:
    """What a window says about its time.

    Args:
        facts: Facts of its events; ``None`` where they cannot be used.
        labels: Its boxes, ``LABEL_DTYPE [M]``; ``None`` where they cannot be used.
    """
    if facts is None:
        return WindowTime(None, None)  # damaged: the boxes alone do not make it a window
    if facts.first_us is not None or labels is None or not len(labels):
        return WindowTime(facts.first_us, None)
    return WindowTime(None, int(labels["t"].min()))


def has_time(times: np.ndarray) -> np.ndarray:
    """Which boxes say a time, bool ``[M]``: 0 is none, nor is one that no event could have.

    Args:
        times: Of the boxes in µs, uint64 ``[M]``.
    """
    return (times > 0) & (times <= _LAST_TIME)


@dataclass
class Clock:
    """The clock of one recording; shown every window in order, also those that cannot be used.

    Attributes:
        next_begin: Where the next window begins if it follows, in µs.
        is_set: Some window has said its time. Until then the clock runs from zero, and nothing is a
            gap.
    """

    next_begin: int = 0
    is_set: bool = False

    def place(self, time: WindowTime) -> Place:
        """Give the next window its place.

        Boxes are weaker witnesses than events: they place a window only where that does not turn the
        clock back, and only at times that events could have.
        """
        said = None
        if time.events is not None:
            said = time.events // WINDOW_US * WINDOW_US
        elif time.boxes is not None and time.boxes <= _LAST_TIME:
            slot = time.boxes // WINDOW_US * WINDOW_US
            said = slot if slot >= self.next_begin or not self.is_set else None
        begin = self.next_begin if said is None else said
        place = Place(begin, self.is_set and begin != self.next_begin)
        self.next_begin = begin + WINDOW_US
        self.is_set = self.is_set or said is not None
        return place


def follows(begin: int, previous_begin: int | None) -> bool:
    """Whether a window follows the one kept before it, so that recurrent state is carried over.

    Windows that were left out in between break the sequence, though they are no gap of the clock.

    Args:
        begin: Begin of the window in µs.
        previous_begin: Begin of the window kept before it; ``None`` for the first.
    """
    return previous_begin is not None and begin == previous_begin + WINDOW_US
