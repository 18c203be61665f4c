"""A few windows as small pictures: a cache's pillars and boxes, a manifest's events."""

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np

from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.pillars.bit_layout import COUNT_BITS
from pipeline.release.opened import open_events, open_labels
from pipeline.release.shards import SPLITS, WINDOWS_PER_SHARD, ShardFiles, shard_path
from pipeline.release.windows import read_window
from pipeline.report.elements import Figure, Gallery, Section
from pipeline.report.window_pictures import draw_line_box, png, window_picture
from pipeline.selection.entries import RecordingEntry
from pipeline.selection.manifest import Manifest
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
    for key in _of_each_split(cache.recording_ids):
        recording = CachedRecording(cache, key)
        if len(recording):
            figures.append(_draw(cache, recording))
    return figures


def draw_example_events(manifest: Manifest) -> list[Figure]:
    """The window in the middle of the same recordings' shards, as far as its files are unchanged.

    Raises:
        DataError: a folder, a pipe or a device is in the place of a file.
        OSError: the machine fails to read a file.
    """
    rows = {row.id: row for row in manifest.recordings if row.shards}
    drawn = (_draw_events(manifest, rows[key]) for key in _of_each_split(tuple(rows)))
    return [figure for figure in drawn if figure is not None]


def examples_section(pictures: list[Figure], kind: str) -> Section | None:
    """The pictures of a ``cache`` or a ``manifest``; None without any."""
    if not pictures:
        return None
    if kind == "manifest":
        gallery = Gallery(
            "As the sensor saw them",
            "Events brighter (blue) and darker (ochre), and boxes in grey. Of two recordings of each "
            "split, a window in the middle.",
            pictures,
        )
        return Section("examples", "Example windows", galleries=[gallery])
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


def _of_each_split(keys: Sequence[str]) -> Iterator[str]:
    """Recordings a third and two thirds down the list of each split."""
    for split in SPLITS:
        mine = [key for key in keys if key.startswith(f"{split}/")]
        places = {len(mine) * (k + 1) // (_OF_A_SPLIT + 1) for k in range(_OF_A_SPLIT)}
        yield from (mine[place] for place in sorted(places) if place < len(mine))


def _draw_events(manifest: Manifest, row: RecordingEntry) -> Figure | None:
    shard = row.shards[len(row.shards) // 2]
    member = WINDOWS_PER_SHARD // 2
    paths = [shard_path(manifest.root, row.id, shard.number, k) for k in ("events", "labels")]
    if not all(path.exists() for path in paths):
        return None
    files = ShardFiles(shard.number, *paths)
    opened = open_events(files), open_labels(files)
    if [file.sha256 for file in opened] != [shard.event_sha256, shard.label_sha256]:
        return None
    window = read_window(shard.number, member, *(file.content for file in opened))
    if not isinstance(window.events, np.ndarray) or not isinstance(window.labels, np.ndarray):
        return None
    names = dict(enumerate(manifest.class_map.classes))
    held = _held(names.get(int(k), "unknown") for k in window.labels["class_id"])
    return _figure(
        window_picture(window.events, window.labels, {}, row.sensor),
        f"{printable(row.id)}, shard {shard.number:03d}, window {member}: {held}",
        f"{counted(len(window.events), 'event')}, and {held}.",
    )


def _draw(cache: PillarCache, recording: CachedRecording) -> Figure:
    recording.check_tables()
    boxes = np.diff(recording.table("label_offsets")[:, 1])
    pillars = np.diff(recording.table("offsets")[::2, 0])
    number = int(np.lexsort((pillars, boxes))[(len(boxes) - 1) * 3 // 4])
    window = recording.read(number, number + 1)
    held = _held(cache.settings.output_names[k] for k in window.classes)
    events = recording.window_column("events_in_range")[number]
    return _figure(
        _picture(window),
        f"{printable(recording.id)}, window {number}: {held}",
        f"{counted(len(window.pillars), 'pillar')} of {short(int(events))} events, and {held}.",
    )


def _held(names: Iterable[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(names).items()) or "no box"


def _figure(picture: bytes, title: str, alt: str) -> Figure:
    data = base64.b64encode(picture).decode()
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
