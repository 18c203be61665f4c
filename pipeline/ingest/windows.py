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
    splitter = WindowSplitter(skip_us, source)
    for block in blocks:
        yield from splitter.add(block)
    yield from splitter.end()


class WindowSplitter:
    """:func:`split_windows` block by block: a window is given when an event behind it has come."""

    def __init__(self, skip_us: int, source: str) -> None:
        self._skip_us, self._source = skip_us, source
        self._first: int | None = None
        self._start = self._current = self._held = 0
        self._parts: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> Iterator[RawWindow]:
        """The windows that these events complete.

        Raises:
            RecordingError: A window has more events than a shard's may have.
        """
        if not len(block):
            return
        slots = block["t"] // WINDOW_US
        if self._first is None:
            self._first = self._current = int(slots[0])
            self._start = self._first + -(-self._skip_us // WINDOW_US)
        bounds = np.flatnonzero(np.diff(slots)) + 1
        for begin, part in zip([0, *bounds], np.split(block, bounds), strict=True):
            slot = int(slots[begin])
            if slot != self._current:
                yield from self.end()
                self._current, self._parts, self._held = slot, [], 0
            self._held += len(part)
            if self._held > MOST_EVENTS:  # also of one that is left out: it might have no end
                raise RecordingError(
                    f"{self._source}: the 50 ms from {slot * WINDOW_US} µs have more than the "
                    f"{MOST_EVENTS} events of a window; cut the recording there."
                )
            if slot >= self._start:
                self._parts.append(part)

    def end(self) -> Iterator[RawWindow]:
        """The window that the last event is in, if it is not left out."""
        if self._parts and self._first is not None:
            yield RawWindow(self._current, self._current - self._first, _joined(self._parts))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts)  # a copy, so that no view keeps a whole block alive
