"""Where the scene of a sample comes to rest: stops put between windows that follow each other.

A stop is a run of windows in which nothing moves. The boxes of the window shown just before it hold,
and in place of events there is noise (:mod:`dmanet.data.resting`). Then the scene goes on with the
next window, so that a stop never makes anything jump. What is read keeps its length: as many windows
as stops put in fall away at the ends.
"""

import numpy as np

from dmanet.data.augmentation_settings import AugmentationSettings
from dmanet.data.samples import WindowRange


def with_stops(
    windows: WindowRange, draw: int, settings: AugmentationSettings
) -> list[tuple[WindowRange, int]]:
    """What is read in place of ``windows``, by its draw alone: as many, the first of them shown.

    Args:
        windows: a range that is read without a break.
        draw: 0...2**63 - 1, its seed.
        settings: how probable stops are, and how long.

    Returns:
        Ranges in order. Beside each is 0 where it is shown, or k where it is one window, the last that
        was shown, at rest for the k-th time.
    """
    length = windows.stop - windows.start
    if not settings.stop or length < 2:
        return [(windows, 0)]
    rng = np.random.default_rng(draw)
    rests: list[int] = []  # of each window that is read
    while len(rests) < length:
        rests.append(0)
        if rng.random() < settings.stop:
            low, high = settings.stop_windows
            rests += range(1, int(rng.integers(low, high + 1)) + 1)
    del rests[length:]
    put_in = length - rests.count(0)
    next_shown = windows.start + int(rng.integers(put_in + 1))
    pieces: list[tuple[WindowRange, int]] = []
    for rest in rests:
        if rest:
            pieces.append((WindowRange(windows.recording, next_shown - 1, next_shown), rest))
            continue
        if pieces and not pieces[-1][1]:
            pieces[-1] = (pieces[-1][0]._replace(stop=next_shown + 1), 0)
        else:
            pieces.append((WindowRange(windows.recording, next_shown, next_shown + 1), 0))
        next_shown += 1
    return pieces
