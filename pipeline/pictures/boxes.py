"""Boxes on a picture: detections, labels and labels of tracks, each with its text."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw

from pipeline.pictures.colours import LABEL, Colour, class_colour, track_colour
from pipeline.pictures.tags import Box, Font, Tags

_ABOVE_FIRST = ("above", "inside above", "below", "inside below")


class LabelledBoxes(Protocol):
    """Ground truth of one window."""

    @property
    def boxes(self) -> np.ndarray:
        """``[M, 4]``, x1, y1, x2, y2 in grid units."""

    @property
    def classes(self) -> np.ndarray:
        """int64 ``[M]``."""


class FoundBoxes(LabelledBoxes, Protocol):
    """What was found in one window."""

    @property
    def scores(self) -> np.ndarray:
        """``[M]``."""


def draw_boxes(
    picture: Image.Image,
    grid_size: tuple[int, int],
    class_names: Sequence[str],
    font: Font,
    *,
    detections: FoundBoxes | None = None,
    labels: LabelledBoxes | None = None,
    colours: Sequence[Colour] | None = None,
    tracks: Sequence[int] | None = None,
) -> None:
    """Draw boxes over a whole picture of a window; the arguments are those of ``draw_window``.

    Args:
        picture: RGB; its sides are those of the grid.
        grid_size: height and width in cells.
        class_names: of the boxes' classes.
        font: of the texts.
        detections: what was found, in grid units.
        labels: what is true, in grid units.
        colours: of each detection; None for those of their classes.
        tracks: of each label; None draws labels dashed and white.
    """
    draw = ImageDraw.Draw(picture)
    size = picture.size
    line = max(2, size[0] // 480)
    scale = np.array([size[0] / grid_size[1], size[1] / grid_size[0]] * 2)
    tags = Tags(draw, font, size)
    if detections is not None:
        names = [class_names[number] for number in detections.classes]
        if colours is None:
            colours = [class_colour(name, class_names) for name in names]
        corners = [_on_picture(box, size) for box in detections.boxes * scale]
        best_first = np.argsort(-detections.scores, kind="stable")
        for row in best_first[::-1]:  # the best boxes on top, and the best tags in the best places
            draw.rectangle(corners[row], outline=colours[row], width=line)
        for row in best_first:
            text = f"{names[row]} {detections.scores[row]:.2f}"
            tags.place(corners[row], text, colours[row], _ABOVE_FIRST)
    if labels is not None:
        for row, box in enumerate(labels.boxes * scale):
            corner, name = _on_picture(box, size), class_names[labels.classes[row]]
            if tracks is None:
                dashed_rectangle(draw, corner, line)
                tags.place(corner, name, None, ("below", "inside below"))
            else:
                colour = track_colour(tracks[row])
                draw.rectangle(corner, outline=colour, width=line)
                tags.place(corner, f"{name} {tracks[row]}", colour, _ABOVE_FIRST)
    tags.draw_all()


def _on_picture(box: np.ndarray, size: tuple[int, int]) -> Box:
    """Corners in whole pixels inside the picture, right and bottom not before left and top."""
    last = np.array(size * 2) - 1
    left, top, right, bottom = np.clip(np.round(box), 0, last).tolist()
    return left, top, max(left, right), max(top, bottom)


def dashed_rectangle(draw: ImageDraw.ImageDraw, box: Box, line: int) -> None:
    """Draw a white dashed box."""
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
