"""One window as a picture: its events, the labels, and what a network found."""

from collections.abc import Sequence

from PIL import Image, ImageFont

from pipeline.pictures.boxes import FoundBoxes, LabelledBoxes, draw_boxes
from pipeline.pictures.cells import WindowCells, events_image
from pipeline.pictures.colours import Colour
from pipeline.pictures.strip import with_strip


def draw_window(
    cells: WindowCells,
    class_names: Sequence[str],
    detections: FoundBoxes | None = None,
    labels: LabelledBoxes | None = None,
    caption: str = "",
    width: int = 960,
    colours: Sequence[Colour] | None = None,
) -> Image.Image:
    """One window as an RGB picture, a strip with caption and key below it.

    Detections have their class's colour, its name and their score; labels are dashed and white, with
    their class under them.

    Args:
        cells: the window's events.
        class_names: of the boxes' classes.
        detections: what was found, in grid units.
        labels: what is true, in grid units.
        caption: of the strip, cut where it is too long.
        width: of the picture in pixels.
        colours: of each detection; None for those of their classes.
    """
    picture = events_image(cells, frame_size(width, cells.sensor_size))
    text_size = text_size_of(width)
    font = ImageFont.load_default(text_size)
    draw_boxes(
        picture,
        cells.grid_size,
        class_names,
        font,
        detections=detections,
        labels=labels,
        colours=colours,
    )
    key = ("brighter", "darker", "label", "detection")
    return with_strip(picture, font, text_size, caption, key)


def frame_size(width: int, sensor_size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture in the sensor's aspect, pixels."""
    return width, max(1, round(width * sensor_size[1] / sensor_size[0]))


def text_size_of(width: int) -> int:
    """Height of the text on a picture of this width, pixels."""
    return max(11, width // 68)
