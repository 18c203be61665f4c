"""A few windows of a cache as small pictures: pillars as the network sees them, and their boxes."""

import base64
from collections import Counter
from html import escape

import numpy as np

from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.pillars.bit_layout import COUNT_BITS
from pipeline.release.shards import SPLITS
from pipeline.report.elements import Figure, Gallery, Section
from pipeline.report.window_pictures import draw_line_box, png
from pipeline.text import counted, printable, short

_OF_A_SPLIT = 2
_WIDTH = 320  # pixels of a picture
_BOX = 4  # the palette's red
_NEGATIVE, _POSITIVE = 1, 2


def draw_example_windows(cache: PillarCache) -> list[Figure]:
    """Two windows of each split, of recordings a third and two thirds down the list.

    Of a recording it is the window that three of four windows do not surpass in boxes, and among
    windows of as many boxes in pillars.

    Raises:
        CacheError: an array cannot be read.
    """
    figures = []
    for split in SPLITS:
        keys = [key for key in cache.recording_ids if key.startswith(f"{split}/")]
        places = sorted({len(keys) * (k + 1) // (_OF_A_SPLIT + 1) for k in range(_OF_A_SPLIT)})
        for place in places:
            if place < len(keys):
                recording = CachedRecording(cache, keys[place])
                if len(recording):
                    figures.append(_draw(cache, recording))
    return figures


def examples_section(pictures: list[Figure]) -> Section | None:
    """The pictures; None without any."""
    if not pictures:
        return None
    return Section(
        "examples",
        "Example windows",
        galleries=[
            Gallery(
                "As the network sees them",
                "Cells with a pillar, brighter (blue) and darker (ochre), and kept boxes in red; "
                "stretched to the sensor's shape. Of two recordings of each split, a window with more "
                "boxes than most.",
                pictures,
            )
        ],
    )


def _draw(cache: PillarCache, recording: CachedRecording) -> Figure:
    recording.check_tables()
    boxes = np.diff(recording.table("label_offsets")[:, 1])
    pillars = np.diff(recording.table("offsets")[::2, 0])
    number = int(np.lexsort((pillars, boxes))[(len(boxes) - 1) * 3 // 4])
    window = recording.read(number, number + 1)
    names = Counter(cache.settings.output_names[k] for k in window.classes)
    held = ", ".join(f"{count} {name}" for name, count in names.items()) or "no box"
    events = recording.window_column("events_in_range")[number]
    title = f"{printable(recording.id)}, window {number}: {held}"
    alt = f"{counted(len(window.pillars), 'pillar')} of {short(int(events))} events, and {held}."
    data = base64.b64encode(_picture(window)).decode()
    return Figure(
        svg=f'<img alt="{escape(alt)}" style="width:100%" src="data:image/png;base64,{data}">',
        title=title,
    )


def _picture(window: PackedWindows) -> bytes:
    columns, rows = window.encoding.settings.grid
    sensor_width, sensor_height = window.encoding.sensor
    width = min(_WIDTH, max(sensor_width, columns))
    height = max(1, round(width * sensor_height / sensor_width))
    grid = np.zeros((rows, columns), np.uint8)
    for polarity, colour in ((0, _NEGATIVE), (1, _POSITIVE)):
        start, stop = window.offsets[polarity : polarity + 2, 0]
        cells = np.cumsum(window.pillars[start:stop] >> COUNT_BITS, dtype=np.int64)
        grid.reshape(-1)[cells % grid.size] = colour
    # Of the cells that fall on a pixel, one that has a pillar.
    y, x = np.nonzero(grid)
    pixels = np.zeros((height, width), np.uint8)
    if columns >= width and rows >= height:
        pixels[y * height // rows, x * width // columns] = grid[y, x]
    else:
        of_row, of_column = np.arange(height) * rows // height, np.arange(width) * columns // width
        pixels = grid[of_row][:, of_column]
    scale = np.array([width / columns, height / rows] * 2)
    for x1, y1, x2, y2 in (window.boxes * scale).tolist():
        draw_line_box(pixels, x1, y1, x2, y2, _BOX)
    return png(pixels)
