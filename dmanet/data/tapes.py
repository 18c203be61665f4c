"""Ranges of windows laid end to end, and read so many at a time."""

from collections.abc import Iterable

from dmanet.data.augmentation_settings import AugmentationSettings
from dmanet.data.samples import Sample, WindowRange
from dmanet.data.stops import with_stops

_WITHOUT_STOPS = AugmentationSettings()


def read_tape(
    tape: Iterable[tuple[WindowRange, int]],
    steps: int,
    augmentation: AugmentationSettings = _WITHOUT_STOPS,
) -> list[Sample]:
    """Ranges of windows laid end to end and read T windows at a time.

    State is fresh at the begin of each range. The last window is repeated, not counted, until the
    last sample is full.

    Args:
        tape: the ranges, each with its draw.
        steps: T.
        augmentation: whose stops are put between the windows of each range.
    """
    samples: list[Sample] = []
    pieces: list[WindowRange] = []
    draws: list[int] = []
    rests: list[int] = []
    room, continues = steps, False
    for windows, draw in tape:
        fresh = True
        for (recording, start, end), rest in with_stops(windows, draw, augmentation):
            while start < end:
                if not pieces:
                    continues = not fresh
                stop = min(start + room, end)
                pieces.append(WindowRange(recording, start, stop))
                draws.append(draw)
                rests.append(rest)
                room -= stop - start
                start, fresh = stop, False
                if not room:
                    samples.append(_sample(pieces, draws, rests, continues, steps))
                    pieces, draws, rests, room = [], [], [], steps
    if pieces:
        pieces += [last_window(pieces[-1])] * room
        draws += [draws[-1]] * room
        rests += [0] * room
        samples.append(_sample(pieces, draws, rests, continues, steps - room))
    return samples


def _sample(
    pieces: list[WindowRange], draws: list[int], rests: list[int], continues: bool, counted: int
) -> Sample:
    at_rest = tuple(rests) if any(rests) else ()
    return Sample(tuple(pieces), tuple(draws), continues, counted, at_rest)


def last_window(windows: WindowRange) -> WindowRange:
    """The last window of a range."""
    return windows._replace(start=windows.stop - 1)
