"""Recordings without a fault, whose content a test can state, in the real format."""

from pathlib import Path

import numpy as np

from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE, WINDOW_US, write_shard


def window_events(index: int, count: int = 40, seed: int = 0, sensor=(1280, 720)) -> np.ndarray:
    """Sorted events of both polarities in window ``index`` of the clock, ``EVENT_DTYPE [count]``.

    The first and the last lie in the box of :func:`write_recording`, two others in places of more boxes.
    """
    rng = np.random.default_rng([seed, index])
    events = np.empty(count, EVENT_DTYPE)
    events["t"] = index * WINDOW_US + np.sort(rng.choice(WINDOW_US, count, replace=False))
    events["x"] = rng.integers(0, sensor[0], count)
    events["y"] = rng.integers(0, sensor[1], count)
    if count > 3:
        events["x"][1:3], events["y"][1:3] = (60, 610), 120
    events["x"][[0, -1][:count]], events["y"][[0, -1][:count]] = 130, 120
    events["p"] = np.arange(count) % 2
    return events


def boxes(*rows: tuple[float, float, float, float, int]) -> np.ndarray:
    """``LABEL_DTYPE`` records from ``x, y, w, h, class`` rows."""
    labels = np.zeros(len(rows), LABEL_DTYPE)
    for k, (x, y, w, h, class_id) in enumerate(rows):
        labels[k] = (0, x, y, w, h, class_id, 1.0, k)
    return labels


def write_recording(root: Path, recording_id: str, shards: int = 2, class_id: int = 2, **kwargs):
    """A sound recording: ``shards`` shards from clock index 10, one good box in each window."""
    for number in range(1, shards + 1):
        indices = range(10 * number, 10 * number + 10)
        write_shard(
            root,
            recording_id,
            number,
            [window_events(index, **kwargs) for index in indices],
            [boxes((100, 100, 80, 60, class_id)) for _ in indices],
        )
