"""Whether the arrays of a recording fit each other, checked before anything is indexed by them.

A digest shows that an array is what was written. Kernels and the network index memory by these
numbers without looking, so what is written must fit as well.
"""

from collections.abc import Mapping

import numpy as np

from pipeline.cache import records as layout
from pipeline.cache.settings import CacheSettings
from pipeline.pillars.bit_layout import COUNT_BITS, COUNT_MASK
from pipeline.pillars.settings import PillarSettings

_LAST_TIME = (1 << 32) - 1  # µs; an event's time has 32 bits


def misfit_of_tables(
    tables: Mapping[str, np.ndarray],
    lengths: Mapping[str, int],
    windows: int,
    settings: CacheSettings,
) -> str | None:
    """What is wrong with a recording's tables; None where they fit.

    Args:
        tables: each of :data:`pipeline.cache.records.TABLE_COLUMNS`.
        lengths: rows of every array.
        windows: how many the attributes state.
        settings: of the cache.
    """
    if len(tables["windows"]) != windows:
        return "the array 'windows' has another length than the recording"
    for name, rows, targets in (
        ("offsets", 2 * windows + 1, ("pillars", "points")),
        ("label_offsets", windows + 1, ("labels_raw", "labels")),
    ):
        table = tables[name]
        if len(table) != rows or table[0].any() or (table[1:] < table[:-1]).any():
            return f"the array '{name}' does not number the rows of {targets[0]} and {targets[1]}"
        for target, end in zip(targets, table[-1].tolist(), strict=True):
            if lengths[target] != end:
                what = "too few" if lengths[target] < end else f"but {end} in '{name}'"
                return f"the array '{target}' has {lengths[target]} rows, {what}"
    if lengths["batch_id"] != lengths["pillars"]:
        return "the array 'batch_id' has another length than the pillars"
    return _misfit_of_windows(tables["windows"]) or _misfit_of_labels(tables, settings)


def _misfit_of_windows(windows: np.ndarray) -> str | None:
    """``windows``: int64 ``[W, 11]``."""
    largest = {"member": 9, "t_first": _LAST_TIME, "span": _LAST_TIME}
    largest |= {"starts": 1, "repeated": 1}
    for column, name in enumerate(layout.WINDOW_COLUMNS):
        values = windows[:, column]
        if (values < 0).any() or (values > largest.get(name, 1 << 48)).any():
            return f"the column '{name}' of the array 'windows' has a value that it cannot have"
    return None


def _misfit_of_labels(tables: Mapping[str, np.ndarray], settings: CacheSettings) -> str | None:
    kept, raw = tables["labels"], tables["labels_raw"]
    for column, (name, rows) in enumerate((("labels_raw", raw), ("labels", kept))):
        counts = np.diff(tables["label_offsets"][:, column])
        if not np.array_equal(rows[:, 0], np.repeat(np.arange(len(counts)), counts)):
            return f"the array '{name}' has boxes of another window than 'label_offsets' says"
    numbers = {"class": (kept[:, 5], len(settings.classes)), "raw_row": (kept[:, 7], len(raw))}
    numbers["track_id"] = kept[:, 6], 1 << 32
    numbers["class_id"] = raw[:, layout.RAW_LABEL_COLUMNS.index("class_id")], 1 << 8
    for name, (values, most) in numbers.items():
        if not ((values >= 0) & (values < most) & (values == np.floor(values))).all():
            return f"the labels' column '{name}' has a value that it cannot have"
    frame = np.array(settings.grid * 2) * (1 + 1e-6)  # corners are rounded to float32
    boxes = kept[:, 1:5]
    inside = ((boxes >= 0) & (boxes <= frame)).all() and (boxes[:, :2] <= boxes[:, 2:]).all()
    return None if inside else "the array 'labels' has a box that is not within the grid"


def misfit_of_pillars(
    pillars: np.ndarray, offsets: np.ndarray, settings: PillarSettings
) -> str | None:
    """What is wrong with the pillars of some windows; None where they fit.

    Args:
        pillars: packed, uint32 ``[P]``, see :mod:`pipeline.pillars.bit_layout`.
        offsets: int64 ``[S + 1, 2]``, first pillar and first point of each segment, from 0.
        settings: of the cache.
    """
    if not len(pillars):
        return "there are points without pillars" if offsets[-1, 1] else None
    held = pillars & COUNT_MASK
    if held.min() < 1 or held.max() > settings.max_points:
        return f"a pillar has not 1 to {settings.max_points} points"
    points = _sums(held, offsets[:, 0])
    if not np.array_equal(points, np.diff(offsets[:, 1])):
        return "the pillars count other points than there are"
    # Cells are running sums of steps, so that the last of a segment is the largest.
    last_cells = (_sums(pillars, offsets[:, 0]) - points) >> COUNT_BITS
    return "a pillar is outside the grid" if (last_cells >= settings.cells).any() else None


def _sums(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Sum of each segment of ``values``, int64 ``[S]``; ``ends``: ``[S + 1]``, from 0 on."""
    sums = np.zeros(len(ends) - 1, np.int64)
    filled = ends[1:] > ends[:-1]
    sums[filled] = np.add.reduceat(values, ends[:-1][filled], dtype=np.int64)
    return sums
