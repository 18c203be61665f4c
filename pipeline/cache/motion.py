"""The motion of a cached recording's boxes: from their tracks, else from the cells with events."""

import numpy as np

from pipeline.cache.reader import CachedRecording
from pipeline.cache.records import RAW_LABEL_COLUMNS
from pipeline.release.motion import BoxMotion, box_motion, event_densities, track_speeds
from pipeline.release.shards import WINDOW_US

_FULL, _EMPTY = 0.99, 1e-9  # shares of cells, of which a logarithm can be taken, or a ratio


def cached_motion(recording: CachedRecording) -> BoxMotion:
    """The motion of every row of ``labels_raw``.

    Pillars are read only of windows with a box that its track says nothing about. A cache does not keep
    every event of a cell, but which cells have any: where n events fall on so many cells evenly, the
    share exp(−n) has none.

    Raises:
        CacheError: what is stored cannot be read.
    """
    recording.check_tables()
    raw = recording.table("labels_raw")
    window, times, tracks = (
        raw[:, RAW_LABEL_COLUMNS.index(name)].astype(np.int64)
        for name in ("batch_id", "t", "track_id")
    )
    x, y, w, h = (raw[:, RAW_LABEL_COLUMNS.index(name)] for name in "xywh")
    corners = np.stack([x, y, x + w, y + h], axis=1)
    middles = recording.window_column("t_start")[window] + WINDOW_US // 2
    times = np.where(times > 0, times, middles)
    unknown = np.isnan(track_speeds(times, tracks, corners))
    if not unknown.any():
        return box_motion(times, tracks, corners)
    densities = np.full(len(raw), np.nan)
    for number in np.unique(window[unknown]).tolist():
        rows = np.flatnonzero(unknown & (window == number))
        densities[rows] = _densities(recording, number, corners[rows])
    return box_motion(times, tracks, corners, densities)


def _densities(recording: CachedRecording, window: int, corners: np.ndarray) -> np.ndarray:
    """Events a pixel and second in boxes of a window, as the share of their cells with any tells."""
    columns, rows = recording.encoding.settings.grid
    packed = recording.read(window, window + 1)
    has_events = np.zeros((rows + 1, columns + 1), bool)
    for polarity in (0, 1):
        has_events[tuple(packed.tensors(0, polarity).coords[:, 1:].T + 1)] = True
    sums = has_events.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    cell = recording.sensor[0] / columns, recording.sensor[1] / rows
    cells = event_densities(sums, cell, corners)  # a pixel and second
    shares = cells * (cell[0] * cell[1] * WINDOW_US * 1e-6)
    return cells * -np.log1p(-np.minimum(shares, _FULL)) / np.maximum(shares, _EMPTY)
