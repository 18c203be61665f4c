"""Facts of a window's events, from the kernels: what :mod:`pipeline.release.windows` judges."""

import numpy as np

from pipeline.defects import EventFacts
from pipeline.pillars.packing import PackedWindow
from pipeline.pillars.packing_kernels import window_facts


def event_facts(events: np.ndarray, sensor: tuple[int, int]) -> EventFacts:
    """Look at a window's events.

    Args:
        events: ``EVENT_DTYPE [N]``, in any order.
        sensor: Width and height in pixels.
    """
    first, last, in_range, positive, is_sorted = window_facts(events, *sensor)
    t = events["t"]
    if not in_range:
        return _without_any_inside(t, is_sorted)
    if is_sorted:
        ends = int(t[first]), int(t[last])
    else:
        inside = t[(events["x"] < sensor[0]) & (events["y"] < sensor[1])]
        ends = int(inside.min()), int(inside.max())
    return EventFacts(len(events), int(in_range), int(positive), *ends, bool(is_sorted))


def packed_event_facts(packed: PackedWindow, events: np.ndarray) -> EventFacts:
    """:func:`event_facts` of a window that is packed already, without looking at its events again.

    Args:
        packed: What packing gave.
        events: The ``EVENT_DTYPE [N]`` that were packed.
    """
    counts = packed.counts
    if not counts.in_range:
        return _without_any_inside(events["t"], packed.was_sorted)
    ends = packed.t_first, packed.t_first + packed.span
    return EventFacts(
        counts.read, counts.in_range, counts.positive_in_range, *ends, packed.was_sorted
    )


def _without_any_inside(t: np.ndarray, is_sorted: bool) -> EventFacts:
    first, last = (int(t.min()), int(t.max())) if len(t) else (None, None)
    return EventFacts(len(t), 0, 0, first, last, bool(is_sorted))
