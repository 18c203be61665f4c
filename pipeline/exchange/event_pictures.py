"""Pictures of windows without their boxes, pixel for pixel of the sensor: what other tools look at."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.reader import CachedRecording
from pipeline.exchange.records import picture_name
from pipeline.pictures.cached_windows import window_cells
from pipeline.pictures.cells import cell_colours

_READ = 16  # windows at a time


def event_picture(windows: PackedWindows, window: int) -> np.ndarray:
    """One of the windows, uint8 ``[H, W, 3]`` of the sensor's size: the cells that hold events.

    Raises:
        DataError: the stored pillars and points contradict each other.
    """
    encoding = windows.encoding
    colours = cell_colours(window_cells(windows, window))  # [rows, columns, 3]
    return colours[encoding.row_of_pixel][:, encoding.column_of_pixel]


def write_event_pictures(
    folder: Path,
    recordings: Sequence[CachedRecording],
    on_window: Callable[[], object] = lambda: None,
) -> None:
    """Write a PNG for each window below an existing folder, named as the formats name them.

    Raises:
        CacheError: what is stored cannot be read.
        OSError: a picture cannot be written.
    """
    for recording in recordings:
        (folder / recording.id).mkdir(parents=True)
        for first in range(0, len(recording), _READ):
            windows = recording.read(first, min(first + _READ, len(recording)))
            for k in range(len(windows)):
                picture = Image.fromarray(event_picture(windows, k))
                picture.save(folder / picture_name(recording.id, first + k))
                on_window()
