"""The windows that cost most."""

from collections.abc import Sequence

import numpy as np

from dmanet.evaluation.details import WorstWindow
from dmanet.evaluation.error_kinds import Errors
from dmanet.evaluation.window_matches import Matches


def worst_windows(
    matches: Sequence[Matches], errors: Sequence[Errors], count: int
) -> tuple[WorstWindow, ...]:
    """The ``count`` windows with the most missed labels and wrong detections together, the worst first.

    Equal ones by the order of recordings and windows; windows without errors are left out.
    """
    windows: list[WorstWindow] = []
    for one, wrong in zip(matches, errors, strict=True):
        recording = one.recording
        length = len(recording.numbers)
        missed = np.bincount(recording.true.window[wrong.missed], minlength=length)
        false = np.bincount(recording.found.window[wrong.rows], minlength=length)
        labels = np.bincount(recording.true.window, minlength=length)
        cost = missed + false
        for place in np.argsort(-cost, kind="stable")[:count].tolist():
            if cost[place]:
                windows.append(
                    WorstWindow(
                        recording.name,
                        int(recording.numbers[place]),
                        int(recording.times[place]),
                        int(labels[place]),
                        int(missed[place]),
                        int(false[place]),
                    )
                )
    return tuple(sorted(windows, key=lambda w: -(w.missed + w.wrong))[:count])
