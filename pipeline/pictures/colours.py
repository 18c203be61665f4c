"""The colours of events, classes, tracks and the strip below a picture, as RGB."""

import colorsys
from collections.abc import Sequence

from pipeline.release.labels import CLASS_NAMES

Colour = tuple[int, int, int]

GROUND: Colour = (13, 17, 27)
POSITIVE: Colour = (214, 226, 245)
NEGATIVE: Colour = (77, 130, 219)
BOTH: Colour = (146, 178, 232)
LABEL: Colour = (255, 255, 255)
STRIP: Colour = (24, 30, 44)
STRIP_TEXT: Colour = (170, 180, 200)
SHEET: Colour = (40, 47, 64)
#: One colour for each class of the DLUT, in the order of its class numbers.
CLASS_COLOURS: tuple[Colour, ...] = (
    (255, 107, 107),
    (255, 169, 77),
    (105, 219, 124),
    (59, 201, 219),
    (218, 119, 242),
    (255, 224, 102),
    (247, 131, 172),
)
_GOLDEN = 0.6180339887498949  # steps of a hue: numbers near each other have colours far apart


def class_colour(name: str, class_names: Sequence[str] = CLASS_NAMES) -> Colour:
    """A class's own colour by its name, whichever classes a cache keeps.

    Classes of other data sets share those that the DLUT's among ``class_names`` leave free.
    """
    if name in CLASS_NAMES:
        return CLASS_COLOURS[CLASS_NAMES.index(name)]
    taken = {CLASS_NAMES.index(one) for one in class_names if one in CLASS_NAMES}
    free = [colour for k, colour in enumerate(CLASS_COLOURS) if k not in taken] or CLASS_COLOURS
    others = [one for one in class_names if one not in CLASS_NAMES]
    return free[others.index(name) % len(free)]


def track_colour(track: int) -> Colour:
    """A track's own colour by its number, the same in every window and every film."""
    red, green, blue = colorsys.hsv_to_rgb(track * _GOLDEN % 1, 0.55, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)
