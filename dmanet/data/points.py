"""Windows of a cache as points: what a cache keeps of its events, in the form of events."""

import numpy as np

from pipeline.cache.reader import CachedRecording

#: One point: the window it is of; µs on the recording's clock; pixel of the sensor; 1 for brighter.
POINT_DTYPE = np.dtype([("window", "<i8"), ("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])


def read_points(recording: CachedRecording, start: int, stop: int) -> np.ndarray:
    """The points of windows ``start`` to ``stop`` (exclusive), window by window in order of time.

    In preset `paper` a point is an event that was kept, to the pixel and the µs (with ``time_steps``
    set, in the middle of its step). Preset `release` keeps no more than cell and time bin: the point
    is at the first pixel of its cell and the first µs of its bin; and where a window has events of
    one polarity only, the other one holds a copy of them, as the released code makes it.

    Returns:
        ``POINT_DTYPE [N]``.

    Raises:
        UsageError: the recording does not have these windows.
        CacheError: what is stored cannot be read.
    """
    windows = recording.read(start, stop)
    encoding, settings = windows.encoding, windows.encoding.settings
    first = recording.window_column("t_first")[start:stop]
    bins = settings.num_bins - 1
    pieces = [np.empty(0, POINT_DTYPE)]
    for window in range(len(windows)):
        both = []
        for polarity in (0, 1):
            pillars = windows.tensors(window, polarity)
            used = np.arange(settings.max_points) < pillars.num_points[:, None]
            x, y, t = pillars.points[used].astype(np.float64).T
            points = np.zeros(len(t), POINT_DTYPE)
            points["window"], points["p"] = start + window, polarity
            dt = t * int(windows.spans[window]) / bins
            if settings.preset == "release":
                points["x"] = encoding.first_pixel_of_column[x.astype(np.int64)]
                points["y"] = encoding.first_pixel_of_row[y.astype(np.int64)]
                dt = np.ceil(dt)
            else:  # float32 is much closer to a pixel's and a µs' own number than to the next
                points["x"] = np.rint(x * (encoding.sensor[0] / settings.grid[0]))
                points["y"] = np.rint(y * (encoding.sensor[1] / settings.grid[1]))
            points["t"] = first[window] + np.rint(dt).astype(np.int64)
            both.append(points)
        points = np.concatenate(both)
        pieces.append(points[np.argsort(points["t"], kind="stable")])
    return np.concatenate(pieces)
