"""Windows of a cache as pictures: events, pillars as the network sees them, and the labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageFont

from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.reader import PillarCache
from pipeline.pictures.boxes import draw_boxes
from pipeline.pictures.cells import PillarCells, WindowCells, events_image, pillars_image
from pipeline.pictures.strip import with_strip
from pipeline.pictures.window import frame_size, text_size_of

View = Literal["events", "pillars", "both"]
_READ = 16  # windows at a time
_KEYS = {"events": ("brighter", "darker"), "pillars": ("time",)}


@dataclass(frozen=True)
class LabelRows:
    """Labels of one window.

    Attributes:
        boxes: float32 ``[M, 4]``, x1, y1, x2, y2 in grid units.
        classes: int64 ``[M]``.
        tracks: int64 ``[M]``.
    """

    boxes: np.ndarray
    classes: np.ndarray
    tracks: np.ndarray


def draw_cached_window(
    cache: PillarCache,
    recording_id: str,
    window: int,
    width: int = 960,
    view: View = "events",
) -> Image.Image:
    """The window as an RGB picture in the sensor's aspect, labels in the colours of their tracks.

    Args:
        cache: where it is read.
        recording_id: the recording.
        window: its number in the recording.
        width: of the picture in pixels.
        view: see :func:`draw_cached_windows`.

    Raises:
        UsageError: the cache lacks the recording or the window.
        CacheError: what is stored cannot be read.
    """
    return next(draw_cached_windows(cache, recording_id, window, window + 1, width, view))


def draw_cached_windows(
    cache: PillarCache,
    recording_id: str,
    start: int,
    stop: int,
    width: int = 960,
    view: View = "events",
) -> Iterator[Image.Image]:
    """Pictures of windows ``start`` to ``stop`` (exclusive), all of one size, a few in memory.

    Args:
        cache: where they are read.
        recording_id: the recording.
        start: number of the first window in the recording.
        stop: number behind the last one.
        width: of a picture in pixels.
        view: cells by the polarity of their events; pillars by their points and times; or both side
            by side.

    Raises:
        UsageError: the cache lacks the recording or a window.
        CacheError: what is stored cannot be read.
    """
    recording = cache.recording(recording_id)
    names = cache.settings.output_names
    recording.read(start, start + 1)  # what is out of range is refused by its own numbers
    recording.read(stop - 1, stop)
    for first in range(start, stop, _READ):
        windows = recording.read(first, min(first + _READ, stop))
        for k in range(len(windows)):
            yield _draw(windows, k, names, width, view)


def _draw(
    windows: PackedWindows,
    k: int,
    class_names: Sequence[str],
    width: int,
    view: View,
) -> Image.Image:
    columns, rows = windows.encoding.settings.grid
    text_size = text_size_of(width)
    font = ImageFont.load_default(text_size)
    labels = label_rows(windows, k)
    images, lefts = panels(windows, k, width, view)
    whole = Image.new("RGB", (width, images[0].height))
    for image, left in zip(images, lefts, strict=True):
        draw_boxes(
            image, (rows, columns), class_names, font, labels=labels, tracks=labels.tracks.tolist()
        )
        whole.paste(image, (left, 0))
    key = [name for one in _panels_of(view) for name in _KEYS[one]]
    return with_strip(whole, font, text_size, window_caption(windows, k), [*key, "track"])


def panels(
    windows: PackedWindows, k: int, width: int, view: View
) -> tuple[list[Image.Image], list[int]]:
    """The pictures of window ``k`` of the range without its labels, and where each begins.

    Together they are ``width`` pixels wide, with a small gap between two.

    Raises:
        DataError: the stored pillars and points contradict each other.
    """
    kinds = _panels_of(view)
    gap = max(2, width // 240) if len(kinds) > 1 else 0
    size = frame_size((width - gap) // len(kinds), windows.encoding.sensor)
    images = [
        events_image(window_cells(windows, k), size)
        if kind == "events"
        else pillars_image(pillar_cells(windows, k), size)
        for kind in kinds
    ]
    return images, [number * (width - size[0]) for number in range(len(kinds))]


def _panels_of(view: View) -> tuple[str, ...]:
    return ("events", "pillars") if view == "both" else (view,)


def window_caption(windows: PackedWindows, k: int) -> str:
    """Number, time and recording of window ``k`` of the range."""
    begin = windows.t_start[k] / 1e6
    return f"window {windows.first + k}   {begin:.2f} s   {windows.recording}"


def window_cells(windows: PackedWindows, k: int) -> WindowCells:
    """Cells of window ``k`` of the range by polarity."""
    columns, rows = windows.encoding.settings.grid
    negative, positive = (windows.tensors(k, polarity).coords[:, [2, 1]] for polarity in (0, 1))
    return WindowCells(positive, negative, (rows, columns), windows.encoding.sensor)


def pillar_cells(windows: PackedWindows, k: int) -> PillarCells:
    """Pillars of window ``k`` of the range: what both polarities, at all heights, put into a cell."""
    settings = windows.encoding.settings
    columns, rows = settings.grid
    counts, times = np.zeros(columns * rows), np.zeros(columns * rows)
    for polarity in (0, 1):
        pillars = windows.tensors(k, polarity)  # slots that are not used are 0
        place = pillars.coords[:, 1] * columns + pillars.coords[:, 2]
        counts += np.bincount(place, pillars.num_points, columns * rows)
        times += np.bincount(
            place, pillars.points[:, :, 2].sum(axis=1, dtype=np.float64), columns * rows
        )
    used = np.flatnonzero(counts)
    most = 2 * settings.max_points * settings.time_cells
    return PillarCells(
        xy=np.stack([used % columns, used // columns], axis=1),
        points=counts[used],
        times=times[used] / counts[used] / (settings.num_bins - 1),
        most_points=1 if settings.preset == "release" else most,
        grid_size=(rows, columns),
    )


def label_rows(windows: PackedWindows, k: int) -> LabelRows:
    """Labels of window ``k`` of the range."""
    own = windows.box_window == k
    return LabelRows(windows.boxes[own], windows.classes[own], windows.tracks[own])
