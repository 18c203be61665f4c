"""Pictures of windows with faulty boxes: the events, and the boxes marked, as small PNGs in the page."""

import base64
import io
from collections import defaultdict
from collections.abc import Mapping
from html import escape

import numpy as np
from PIL import Image

from pipeline.defects import Defect
from pipeline.release.npz import NpzFile
from pipeline.release.opened import OpenedFile, open_events, open_labels
from pipeline.release.shards import ShardFiles, shard_path
from pipeline.release.windows import read_window
from pipeline.report.elements import Figure
from pipeline.selection.entries import MarkedWindow, RecordingEntry
from pipeline.selection.manifest import Manifest
from pipeline.text import printable

MOST_PICTURES = 8
_MOST_OF_A_RECORDING = 2
_LONGEST_SIDE = 320  # pixels of a picture

#: What a pixel shows, as RGB: its number is its place.
_PALETTE = (
    (255, 255, 255),
    (196, 140, 60),  # events darker
    (70, 130, 200),  # events brighter
    (120, 120, 120),  # a sound box
    (210, 30, 40),
    (150, 50, 190),
    (0, 140, 80),
)
_SOUND = 3
_COLOURS = {Defect.DUPLICATE_BOX: 4, Defect.BOX_WITHOUT_EVENTS: 5, Defect.BOX_JUMP: 6}


def draw_worst_windows(manifest: Manifest) -> list[Figure]:
    """Pictures of the windows with most faulty boxes, as far as their files are there unchanged.

    Raises:
        DataError: A folder, a pipe or a device is in the place of a file.
        OSError: The machine fails to read a file.
    """
    chosen = sorted(
        (
            (-len(window.boxes), row.id, window)
            for row in manifest.recordings
            if row.label_checks is not None
            for window in row.label_checks.worst[:_MOST_OF_A_RECORDING]
        ),
    )
    rows = {row.id: row for row in manifest.recordings}
    figures: list[Figure] = []
    for _, key, window in chosen:
        if len(figures) == MOST_PICTURES:
            break
        figure = _draw(manifest, rows[key], window)
        if figure is not None:
            figures.append(figure)
    return figures


def _draw(manifest: Manifest, row: RecordingEntry, window: MarkedWindow) -> Figure | None:
    shard = next((shard for shard in row.shards if shard.number == window.shard), None)
    if shard is None:
        return None
    paths = [shard_path(manifest.root, row.id, shard.number, k) for k in ("events", "labels")]
    files = ShardFiles(shard.number, *(path if path.exists() else None for path in paths))
    content = read_window(
        shard.number,
        window.member,
        _unchanged(open_events(files), shard.event_sha256),
        _unchanged(open_labels(files), shard.label_sha256),
    )
    if not isinstance(content.labels, np.ndarray):
        return None
    events = content.events if isinstance(content.events, np.ndarray) else None
    if len(content.labels) <= max((number for number, _ in window.boxes), default=0):
        return None
    picture = window_picture(events, content.labels, dict(window.boxes), row.sensor)
    counts: dict[Defect, int] = defaultdict(int)
    for _, fault in window.boxes:
        counts[fault] += 1
    faults = ", ".join(f"{count} {fault}" for fault, count in counts.items())
    title = f"{printable(row.id)}, shard {shard.number:03d}, window {window.member}: {faults}"
    return Figure(
        svg=f'<img class="picture" alt="Events and boxes of {escape(title)}." '
        f'src="data:image/png;base64,{base64.b64encode(picture).decode()}">',
        title=title,
    )


def _unchanged(file: OpenedFile, sha256: str | None) -> NpzFile | None:
    """What can be read of a file, if it is the one that was scanned."""
    is_same = sha256 is None or file.sha256 == sha256
    return file.content if is_same and isinstance(file.content, NpzFile) else None


def window_picture(
    events: np.ndarray | None,
    labels: np.ndarray,
    faults: Mapping[int, Defect],
    sensor: tuple[int, int],
) -> bytes:
    """A window as a PNG file.

    Args:
        events: ``EVENT_DTYPE [N]``; ``None`` draws none.
        labels: ``LABEL_DTYPE [M]``.
        faults: The fault of a box, by its row.
        sensor: Width and height in pixels.
    """
    step = -(-max(sensor) // _LONGEST_SIDE)
    width, height = (-(-side // step) for side in sensor)
    pixels = np.zeros((height, width), np.uint8)
    if events is not None:
        inside = events[(events["x"] < sensor[0]) & (events["y"] < sensor[1])]
        place = inside["y"].astype(np.int64) // step * width + inside["x"] // step
        balance = np.bincount(place, inside["p"] * 2.0 - 1, minlength=width * height)
        seen = np.bincount(place, minlength=width * height) > 0
        pixels.reshape(-1)[seen] = np.where(balance[seen] >= 0, 2, 1)
    rows = sorted(range(len(labels)), key=lambda row: row in faults)  # faulty ones on top
    for row in rows:
        _draw_box(
            pixels, labels[row], step, _COLOURS.get(faults[row], 0) if row in faults else _SOUND
        )
    return png(pixels)


def _draw_box(pixels: np.ndarray, box: np.void, step: int, colour: int) -> None:
    x, y, w, h = (float(box[name]) / step for name in "xywh")
    draw_line_box(pixels, x, y, x + w, y + h, colour)


def draw_line_box(
    pixels: np.ndarray, x1: float, y1: float, x2: float, y2: float, colour: int
) -> None:
    """Draw the border of a box where it is inside, in a number of the palette.

    Args:
        pixels: uint8 ``[H, W]``, written to.
        x1: left, in pixels of the picture; likewise
        y1: top,
        x2: right and
        y2: bottom.
        colour: of the border.
    """
    if not np.isfinite([x1, y1, x2, y2]).all():
        return
    height, width = pixels.shape
    left, right = (int(np.clip(side, 0, width - 1)) for side in (x1, x2))
    top, bottom = (int(np.clip(side, 0, height - 1)) for side in (y1, y2))
    if x1 >= width or y1 >= height or x2 < 0 or y2 < 0 or x2 < x1 or y2 < y1:
        return
    pixels[top, left : right + 1] = pixels[bottom, left : right + 1] = colour
    pixels[top : bottom + 1, left] = pixels[top : bottom + 1, right] = colour


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of pixel colours, uint8 ``[H, W]``, numbers of the palette."""
    picture = Image.fromarray(pixels)
    picture.putpalette([value for colour in _PALETTE for value in colour])
    content = io.BytesIO()
    # The page's own paper, light or dark, is seen where nothing is drawn.
    picture.save(content, "PNG", optimize=True, transparency=0)
    return content.getvalue()
