"""Pictures of windows: events, the labels, and what the network found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.errors import UsageError
from pipeline.release.labels import CLASS_NAMES

if TYPE_CHECKING:  # pictures of a cache's windows need no network, so this must not import torch
    from dmanet.detection.found import Detections

GROUND = (13, 17, 27)
POSITIVE = (214, 226, 245)
NEGATIVE = (77, 130, 219)
BOTH = (146, 178, 232)
LABEL = (255, 255, 255)
STRIP = (24, 30, 44)
STRIP_TEXT = (170, 180, 200)
SHEET = (40, 47, 64)
#: One colour for each class of the DLUT, in the order of its class numbers.
CLASS_COLOURS = (
    (255, 107, 107),
    (255, 169, 77),
    (105, 219, 124),
    (59, 201, 219),
    (218, 119, 242),
    (255, 224, 102),
    (247, 131, 172),
)

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]


class LabelledBoxes(Protocol):
    """Ground truth of one window."""

    @property
    def boxes(self) -> np.ndarray:
        """``[M, 4]``, x1, y1, x2, y2 in grid units."""

    @property
    def classes(self) -> np.ndarray:
        """int64 ``[M]``."""


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


def draw_window(
    cells: WindowCells,
    class_names: Sequence[str],
    detections: "Detections | None" = None,
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
    sensor_width, sensor_height = cells.sensor_size
    frame_size = (width, round(width * sensor_height / sensor_width))
    text_size = max(11, width // 68)
    strip = 2 * text_size
    picture = Image.new("RGB", (width, frame_size[1] + strip), STRIP)
    picture.paste(_events_image(cells, frame_size), (0, 0))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(text_size)
    line = max(2, width // 480)
    grid_height, grid_width = cells.grid_size
    scale = np.array([frame_size[0] / grid_width, frame_size[1] / grid_height] * 2)

    tags = _Tags(draw, font, frame_size)
    if detections is not None:
        names = [class_names[number] for number in detections.classes]
        if colours is None:
            colours = [class_colour(name, class_names) for name in names]
        best_first = np.argsort(-detections.scores, kind="stable")
        for row in best_first[::-1]:  # the best boxes on top, and the best tags in the best places
            corners = _on_picture(detections.boxes[row] * scale, frame_size)
            draw.rectangle(corners, outline=colours[row], width=line)
        for row in best_first:
            tags.place(
                _on_picture(detections.boxes[row] * scale, frame_size),
                f"{names[row]} {detections.scores[row]:.2f}",
                colours[row],
                ("above", "inside above", "below", "inside below"),
            )
    if labels is not None:
        for box, class_index in zip(labels.boxes * scale, labels.classes, strict=True):
            corners = _on_picture(box, frame_size)
            _dashed_rectangle(draw, corners, line)
            tags.place(corners, class_names[class_index], None, ("below", "inside below"))
    tags.draw_all()
    _draw_strip(draw, font, frame_size, strip, caption)
    return picture


def contact_sheet(images: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures side by side, row by row, on one sheet; smaller ones are centred in their place.

    Raises:
        UsageError: there is no picture, or ``columns`` is below 1.
    """
    if not images or columns < 1:
        raise UsageError(
            f"A contact sheet needs pictures and columns; got {len(images)} and {columns}."
        )
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    heights = [max(image.height for image in row) for row in rows]
    width = max(image.width for image in images)
    gap = max(4, width // 80)
    sheet = Image.new(
        "RGB",
        (len(rows[0]) * (width + gap) + gap, sum(heights) + (len(rows) + 1) * gap),
        SHEET,
    )
    top = gap
    for row, height in zip(rows, heights, strict=True):
        for column, image in enumerate(row):
            left = gap + column * (width + gap) + (width - image.width) // 2
            sheet.paste(image, (left, top + (height - image.height) // 2))
        top += height + gap
    return sheet


def _events_image(cells: WindowCells, size: tuple[int, int]) -> Image.Image:
    grid_height, grid_width = cells.grid_size
    polarity = np.zeros((grid_height, grid_width), np.uint8)  # bit 0 positive, bit 1 negative
    for bit, xy in ((1, cells.positive), (2, cells.negative)):
        marked = np.zeros_like(polarity)
        marked[xy[:, 1], xy[:, 0]] = bit
        polarity |= marked
    palette = np.array([GROUND, POSITIVE, NEGATIVE, BOTH], np.uint8)
    image = Image.fromarray(palette[polarity])
    # Whole multiples first: stretching a cell to a fraction of pixels would make some cells wider.
    factor = max(math.ceil(size[0] / grid_width), math.ceil(size[1] / grid_height))
    image = image.resize((grid_width * factor, grid_height * factor), Image.Resampling.NEAREST)
    return image.resize(size, Image.Resampling.BOX)


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


def _on_picture(box: np.ndarray, size: tuple[int, int]) -> Box:
    """Corners in whole pixels inside the picture, right and bottom not before left and top."""
    last = np.array(size * 2) - 1
    left, top, right, bottom = np.clip(np.round(box), 0, last).tolist()
    return left, top, max(left, right), max(top, bottom)


def _dashed_rectangle(draw: ImageDraw.ImageDraw, box: Box, line: int) -> None:
    left, top, right, bottom = box
    dash, period = 4 * line, 7 * line
    for x in range(int(left), int(right) + 1, period):
        end = min(x + dash, right)
        draw.line((x, top, end, top), fill=LABEL, width=line)
        draw.line((x, bottom, end, bottom), fill=LABEL, width=line)
    for y in range(int(top), int(bottom) + 1, period):
        end = min(y + dash, bottom)
        draw.line((left, y, left, end), fill=LABEL, width=line)
        draw.line((right, y, right, end), fill=LABEL, width=line)


class _Tags:
    """Texts at boxes, each moved to where it hides no earlier one, drawn after all boxes."""

    def __init__(
        self,
        draw: ImageDraw.ImageDraw,
        font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
        size: tuple[int, int],
    ) -> None:
        self._draw = draw
        self._font = font
        self._size = size
        self._placed: list[tuple[Box, str, Colour | None]] = []

    def place(self, box: Box, text: str, colour: Colour | None, positions: Sequence[str]) -> None:
        """Choose the first free of ``positions``; ``colour`` None means text without a ground."""
        left, _, right, bottom = self._draw.textbbox((0, 0), text, font=self._font)
        width, height = right - left + 8, bottom + 5
        tops = {
            "above": box[1] - height,
            "inside above": box[1],
            "below": box[3] + 1,
            "inside below": box[3] - height,
        }
        x = min(max(box[0], 0), self._size[0] - width)
        candidates = [
            (x, tops[position], x + width, tops[position] + height) for position in positions
        ]
        inside = [c for c in candidates if c[1] >= 0 and c[3] <= self._size[1]] or candidates[-1:]
        free = [c for c in inside if not any(_overlap(c, other) for other, _, _ in self._placed)]
        self._placed.append(((free or inside)[0], text, colour))

    def draw_all(self) -> None:
        for (left, top, right, bottom), text, colour in self._placed:
            if colour is not None:
                self._draw.rectangle((left, top, right, bottom), fill=colour)
            self._draw.text(
                (left + 4, top + 2),
                text,
                font=self._font,
                fill=LABEL if colour is None else GROUND,
                stroke_width=2 if colour is None else 0,
                stroke_fill=GROUND,
            )


def _overlap(first: Box, second: Box) -> bool:
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )


def _draw_strip(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    frame_size: tuple[int, int],
    strip: int,
    caption: str,
) -> None:
    """Caption at the left, the key of colours and lines at the right, under the frame."""
    middle = frame_size[1] + strip // 2
    mark = strip // 3
    x = float(frame_size[0] - mark)
    for name in ("detection", "label", "darker", "brighter"):
        x -= draw.textlength(name, font=font)
        draw.text((x, middle), name, font=font, fill=STRIP_TEXT, anchor="lm")
        x -= mark + 6
        swatch = (x, middle - mark // 2, x + mark, middle + mark // 2)
        if name == "detection":
            draw.rectangle(swatch, outline=class_colour("car"), width=2)
        elif name == "label":
            _dashed_rectangle(draw, (round(x), swatch[1], round(x) + mark, swatch[3]), 1)
        else:
            draw.ellipse(swatch, fill=POSITIVE if name == "brighter" else NEGATIVE)
        x -= 1.2 * mark
    room = x - mark
    while caption and draw.textlength(caption, font=font) > room:
        caption = caption[:-2].rstrip("… ") + "…" if len(caption) > 2 else ""
    draw.text((mark, middle), caption, font=font, fill=LABEL, anchor="lm")
