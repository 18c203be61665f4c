"""A recording's events cut into windows of its own clock.

The borders are the clock's multiples of 50 ms, as in the release, so that a window's slot can be told
from any of its events. What is left out at the begin, and the numbers of the shards, count from the
window of the first event: a clock that starts late loses nothing.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from pipeline.errors import RecordingError
from pipeline.release.members import MOST_EVENTS
from pipeline.release.shards import WINDOW_US


class RawWindow(NamedTuple):
    """One window that holds events.

    Attributes:
        slot: Of the window on the clock: it begins at ``slot · 50 000`` µs.
        number: Of the window in the recording, 0 for that of the first event.
        events: ``EVENT_DTYPE [N]``, N > 0.
    """

    slot: int
    number: int
    events: np.ndarray


def split_windows(blocks: Iterable[np.ndarray], skip_us: int, source: str) -> Iterator[RawWindow]:
    """Every window that holds events, from blocks of any length.

    Args:
        blocks: ``EVENT_DTYPE [N]`` each, with times that never decrease.
        skip_us: Windows that begin earlier than this after the first one's begin are left out.
        source: Names the recording in errors.

    Raises:
        RecordingError: A window has more events than a shard's may have.
    """
    first: int | None = None
    start = current = held = 0
    parts: list[np.ndarray] = []
    for block in blocks:
        if not len(block):
            continue
        slots = block["t"] // WINDOW_US
        if first is None:
            first = current = int(slots[0])
            start = first + -(-skip_us // WINDOW_US)
        bounds = np.flatnonzero(np.diff(slots)) + 1
        for begin, part in zip([0, *bounds], np.split(block, bounds), strict=True):
            slot = int(slots[begin])
            if slot != current:
                if parts:
                    yield RawWindow(current, current - first, _joined(parts))
                current, parts, held = slot, [], 0
            held += len(part)
            if held > MOST_EVENTS:  # also of one that is left out: it might have no end
                raise RecordingError(
                    f"{source}: the 50 ms from {slot * WINDOW_US} µs have more than the "
                    f"{MOST_EVENTS} events of a window; cut the recording there."
                )
            if slot >= start:
                parts.append(part)
    if parts and first is not None:
        yield RawWindow(current, current - first, _joined(parts))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts)  # a copy, so that no view keeps a whole block alive
