"""Named regions of a training step: torch.profiler shows them, and a timer can read them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import torch
from torch.profiler import record_function


@contextmanager
def region(name: str) -> Iterator[None]:
    """A region of this name for ``torch.profiler``, and for the :class:`RegionTimer` in use."""
    timer = _timer.get()
    with record_function(name), nullcontext() if timer is None else timer.lap(name):
        yield


# Not torch.profiler itself: it records every operation, and reading two steps of a small network back
# takes ten times as long as making them. Untested on GPUs.
class RegionTimer:
    """Times the regions that the thread which installed it enters.

    Regions inside others count as part of them, such as the parts of the network that the backward
    pass computes again. On a GPU begin and end are events of its own queue, so nothing waits for them.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._laps: list[tuple[str, float | torch.cuda.Event, float | torch.cuda.Event]] = []
        self._in_region = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Time the regions entered until the block ends."""
        token = _timer.set(self)
        try:
            yield
        finally:
            _timer.reset(token)

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Time the block as a region; :func:`region` calls this."""
        if self._in_region:
            yield
            return
        self._in_region = True
        begin = self._mark()
        try:
            yield
        finally:
            self._laps.append((name, begin, self._mark()))
            self._in_region = False

    def take(self) -> dict[str, float]:
        """Seconds spent in each region since the last call, by name."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        seconds: dict[str, float] = {}
        for name, begin, end in self._laps:
            seconds[name] = seconds.get(name, 0.0) + _seconds_between(begin, end)
        self._laps.clear()
        return seconds

    def _mark(self) -> float | torch.cuda.Event:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


# Of this thread alone: on a GPU autograd recomputes in a thread of its own, where none is installed.
_timer: ContextVar[RegionTimer | None] = ContextVar("region timer", default=None)


def _seconds_between(begin: float | torch.cuda.Event, end: float | torch.cuda.Event) -> float:
    if isinstance(begin, float):
        assert isinstance(end, float)
        return end - begin
    assert not isinstance(end, float)
    milliseconds: float = begin.elapsed_time(end)
    return milliseconds / 1000
