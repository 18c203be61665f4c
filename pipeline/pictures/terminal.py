"""Pictures in a terminal: two pixels a character, the upper half of a block over its ground."""

from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image, ImageDraw

from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.pictures.cached_windows import View, label_rows, panels, window_caption
from pipeline.pictures.colours import Colour, track_colour
from pipeline.text import printable

_READ = 16  # windows at a time
_RESET = "\x1b[0m"
_CUBE = np.array([0, 95, 135, 175, 215, 255])  # levels of the 216 colours from number 16
_GREYS = np.arange(8, 248, 10)  # the 24 greys from number 232


def has_true_colour(environment: Mapping[str, str]) -> bool:
    """Whether the terminal says that it shows 24-bit colours; any other gets the 256."""
    return environment.get("COLORTERM", "").lower() in ("truecolor", "24bit")


def windows_as_text(
    cache: PillarCache,
    recording: CachedRecording,
    start: int,
    stop: int,
    columns: int,
    view: View,
    true_colour: bool,
) -> Iterator[str]:
    """Lines that draw windows ``start`` to ``stop`` (exclusive), one below the other.

    Each has a line that says which it is, and one with its labels, the text being too small for the
    picture.

    Args:
        cache: where they are read.
        recording: the recording.
        start: number of the first window in it.
        stop: number behind the last one.
        columns: of the terminal.
        view: see :func:`pipeline.pictures.cached_windows.draw_cached_windows`.
        true_colour: 24-bit colours, otherwise the 256.

    Raises:
        UsageError: the recording lacks a window.
        CacheError: what is stored cannot be read.
    """
    names = cache.settings.output_names
    recording.read(stop - 1, stop)  # what is out of range is refused before anything is drawn
    for first in range(start, stop, _READ):
        windows = recording.read(first, min(first + _READ, stop))
        for k in range(len(windows)):
            yield from half_blocks(_small(windows, k, columns, view), true_colour)
            yield printable(window_caption(windows, k))
            labels = label_rows(windows, k)
            if len(labels.tracks):
                yield "  ".join(
                    f"{_code(38, track_colour(track), true_colour)}■{_RESET} {names[number]} {track}"
                    for track, number in zip(
                        labels.tracks.tolist(), labels.classes.tolist(), strict=True
                    )
                )


def half_blocks(image: Image.Image, true_colour: bool) -> Iterator[str]:
    """Lines of a picture, a column each pixel, two rows each line; an odd last row stands alone."""
    pixels = np.asarray(image)
    for row in range(0, len(pixels), 2):
        line, before = [], ""
        for column in range(pixels.shape[1]):
            code = _code(38, pixels[row, column], true_colour)
            if row + 1 < len(pixels):
                code += _code(48, pixels[row + 1, column], true_colour)
            line.append("▀" if code == before else f"{code}▀")
            before = code
        yield "".join(line) + _RESET


def nearest_of_256(colour: np.ndarray | Colour) -> int:
    """The number, 16 to 255, of the colour nearest to an RGB one among those of 256."""
    wanted = np.array(colour, int)
    cube = np.abs(wanted[:, None] - _CUBE).argmin(axis=1)
    grey = int(np.abs(wanted.mean() - _GREYS).argmin())
    far_from_cube = ((_CUBE[cube] - wanted) ** 2).sum()
    if ((_GREYS[grey] - wanted) ** 2).sum() < far_from_cube:
        return 232 + grey
    return int(16 + 36 * cube[0] + 6 * cube[1] + cube[2])


def _code(ground: int, colour: np.ndarray | Colour, true_colour: bool) -> str:
    """What sets the colour of the text (38) or of its ground (48)."""
    if true_colour:
        red, green, blue = (int(value) for value in colour)
        return f"\x1b[{ground};2;{red};{green};{blue}m"
    return f"\x1b[{ground};5;{nearest_of_256(colour)}m"


def _small(windows: PackedWindows, k: int, columns: int, view: View) -> Image.Image:
    """A window with thin boxes, ``columns`` pixels wide."""
    images, lefts = panels(windows, k, columns, view)
    whole = Image.new("RGB", (columns, images[0].height))
    labels = label_rows(windows, k)
    grid_columns, grid_rows = windows.encoding.settings.grid
    for image, left in zip(images, lefts, strict=True):
        draw = ImageDraw.Draw(image)
        scale = np.array([image.width / grid_columns, image.height / grid_rows] * 2)
        last = np.array([image.width, image.height] * 2) - 1
        for box, track in zip(labels.boxes * scale, labels.tracks.tolist(), strict=True):
            corners = np.clip(np.round(box), 0, last)
            corners[2:] = np.maximum(corners[:2], corners[2:])
            draw.rectangle(corners.tolist(), outline=track_colour(track))
        whole.paste(image, (left, 0))
    return whole
