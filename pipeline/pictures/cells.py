"""The cells of a window as an image: by polarity, or as pillars by their points and times."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from pipeline.pictures.colours import BOTH, GROUND, NEGATIVE, POSITIVE

#: Colours of a pillar's mean time, from the window's begin to its end.
_TIMES = ((92, 105, 255), (206, 72, 196), (255, 112, 84), (255, 214, 92))
_FAINTEST = 0.5  # brightness of a pillar with one point where another may have more


@dataclass(frozen=True)
class WindowCells:
    """The cells that have events in one window.

    Attributes:
        positive: integers ``[P, 2]``, x and y of the cells with positive events; repeats do not
            matter.
        negative: the same of negative events.
        grid_size: height and width in cells.
        sensor_size: width and height in pixels, which give the picture its aspect.
    """

    positive: np.ndarray
    negative: np.ndarray
    grid_size: tuple[int, int]
    sensor_size: tuple[int, int]


@dataclass(frozen=True)
class PillarCells:
    """The cells of one window that hold pillars, both polarities together.

    Attributes:
        xy: integers ``[P, 2]``, x and y of the cells, each once.
        points: integers ``[P]``, of the pillars in a cell, at least 1.
        times: ``[P]``, mean of these points' times, 0 the window's first event to 1 its last.
        most_points: that a cell may hold.
        grid_size: height and width in cells.
    """

    xy: np.ndarray
    points: np.ndarray
    times: np.ndarray
    most_points: int
    grid_size: tuple[int, int]


def events_image(cells: WindowCells, size: tuple[int, int]) -> Image.Image:
    """Cells by the polarity of their events, as an RGB picture of ``size``, width and height."""
    return _stretched(cell_colours(cells), size)


def cell_colours(cells: WindowCells) -> np.ndarray:
    """The colour of each cell by the polarity of its events, uint8 ``[rows, columns, 3]``."""
    polarity = np.zeros(cells.grid_size, np.uint8)  # bit 0 positive, bit 1 negative
    for bit, xy in ((1, cells.positive), (2, cells.negative)):
        marked = np.zeros_like(polarity)
        marked[xy[:, 1], xy[:, 0]] = bit
        polarity |= marked
    palette = np.array([GROUND, POSITIVE, NEGATIVE, BOTH], np.uint8)
    return palette[polarity]


def pillars_image(cells: PillarCells, size: tuple[int, int]) -> Image.Image:
    """Pillars, their hue by mean time and brighter with more points, as a picture of ``size``."""
    image = np.full((*cells.grid_size, 3), GROUND, np.float64)
    if cells.most_points > 1:
        share = np.log(cells.points) / math.log(cells.most_points)
    else:
        share = np.ones(len(cells.points))
    level = (_FAINTEST + (1 - _FAINTEST) * np.minimum(share, 1))[:, None]
    colour = time_colours(cells.times)
    image[cells.xy[:, 1], cells.xy[:, 0]] = np.array(GROUND) * (1 - level) + colour * level
    return _stretched(np.round(image).astype(np.uint8), size)


def time_colours(times: np.ndarray) -> np.ndarray:
    """Colours of times between 0 and 1, float64 ``[P, 3]``."""
    places = np.linspace(0, 1, len(_TIMES))
    return np.stack([np.interp(times, places, channel) for channel in np.array(_TIMES).T], axis=-1)


@cache
def time_scale(width: int, height: int) -> Image.Image:
    """The colours of times from a window's begin, at the left, to its end."""
    row = np.round(time_colours(np.linspace(0, 1, width))).astype(np.uint8)
    return Image.fromarray(np.repeat(row[None], height, axis=0))


def _stretched(cells: np.ndarray, size: tuple[int, int]) -> Image.Image:
    height, width = cells.shape[:2]
    # Whole multiples first: stretching a cell to a fraction of pixels would make some cells wider.
    factor = max(math.ceil(size[0] / width), math.ceil(size[1] / height))
    image = Image.fromarray(cells)
    image = image.resize((width * factor, height * factor), Image.Resampling.NEAREST)
    return image.resize(size, Image.Resampling.BOX)
