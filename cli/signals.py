"""Ctrl-C and SIGTERM as a request that the work looks at where it may end cleanly."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class StopRequest:
    """``signal_number`` of the signal that asked to stop; ``None`` as long as none did."""

    signal_number: int | None = None

    @property
    def exit_code(self) -> int:
        """What a shell reports of a program ended by that signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal_number or 0)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Catch the first SIGINT or SIGTERM; a second one of the kind acts as it always does.

    But not under torchrun: it passes on to its processes what a terminal has sent them already, and
    kills those that take longer than its patience.
    """
    passed_on = "TORCHELASTIC_RUN_ID" in os.environ
    request = StopRequest()
    previous: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        request.signal_number = number
        if not passed_on:
            signal.signal(number, previous[number])

    for caught in (signal.SIGINT, signal.SIGTERM):
        previous[caught] = signal.signal(caught, note)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
