"""The released loader's work on one window, in its own steps: the baseline of the benchmarks.

``numpy.load``, structured to plain columns, scaling in place (which truncates, the array being of
integers), ``numpy.unique`` over rows, an argsort by time, and a compiled loop that fills voxels, once
for each polarity. ``tests/benchmarks`` holds it to the reference arrays.
"""

from pathlib import Path

import numba as nb
import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured

SENSOR, GRID, BINS = (1280, 720), 512, 5
MAX_POINTS, MAX_PILLARS = 5, 100_000

Voxels = tuple[np.ndarray, np.ndarray, np.ndarray]


def load_window(path: Path, member: int) -> tuple[Voxels, Voxels]:
    """Voxels of the positive and of the negative events of one window of a shard.

    Each is points float32 ``[P, 5, 3]``, cells ``[P, 3]`` and the number of points ``[P]``.
    """
    with np.load(path) as shard:
        return voxelize(shard[f"e{member}"])


def voxelize(records: np.ndarray) -> tuple[Voxels, Voxels]:
    """The same for events already loaded, ``EVENT_DTYPE [N]``."""
    events = structured_to_unstructured(records)[:, [1, 2, 0, 3]]  # x, y, t, p
    events = events[(events[:, 0] < SENSOR[0]) & (events[:, 1] < SENSOR[1])]
    events[:, 0] = events[:, 0] / SENSOR[0] * GRID
    events[:, 1] = events[:, 1] / SENSOR[1] * GRID
    first, last = events[0, 2], events[-1, 2]
    events[:, 2] = (BINS - 1) * (events[:, 2] - first) / (last - first)
    _, kept = np.unique(events[:, :2], axis=0, return_index=True)
    events = events[kept]
    events = events[np.argsort(events[:, 2])]
    positive, negative = events[events[:, 3] == 1], events[events[:, 3] == 0]
    if not len(positive):
        positive = negative
    if not len(negative):
        negative = positive
    return _to_voxels(positive), _to_voxels(negative)


def _to_voxels(events: np.ndarray) -> Voxels:
    points = events[:, :3].astype(np.float32)
    index_of_cell = np.full((GRID, GRID), -1, np.int32)
    voxels = np.zeros((MAX_PILLARS, MAX_POINTS, 3), np.float32)
    cells = np.zeros((MAX_PILLARS, 3), np.int32)
    counts = np.zeros(MAX_PILLARS, np.int32)
    n = _fill(points, index_of_cell, voxels, cells, counts)
    return voxels[:n], cells[:n], counts[:n]


@nb.njit(cache=True)
def _fill(points, index_of_cell, voxels, cells, counts):
    n = 0
    for i in range(len(points)):
        x = int(np.floor(points[i, 0]))
        y = int(np.floor(points[i, 1]))
        z = int(np.floor(points[i, 2] / (BINS - 1)))
        if x < 0 or x >= GRID or y < 0 or y >= GRID or z != 0:
            continue
        index = index_of_cell[y, x]
        if index == -1:
            if n >= MAX_PILLARS:
                break
            index = n
            n += 1
            index_of_cell[y, x] = index
            cells[index, 1] = y
            cells[index, 2] = x
        if counts[index] < MAX_POINTS:
            voxels[index, counts[index]] = points[i]
            counts[index] += 1
    return n
