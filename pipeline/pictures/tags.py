"""Texts at boxes, each where it hides no other."""

from collections.abc import Sequence

from PIL import ImageDraw, ImageFont

from pipeline.pictures.colours import GROUND, LABEL, Colour

Box = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Tags:
    """Texts at boxes, each moved to where it hides no earlier one, drawn after all boxes."""

    def __init__(self, draw: ImageDraw.ImageDraw, font: Font, size: tuple[int, int]) -> None:
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
        x = max(min(box[0], self._size[0] - width), 0)
        candidates = [
            (x, tops[position], x + width, tops[position] + height) for position in positions
        ]
        inside = [c for c in candidates if c[1] >= 0 and c[3] <= self._size[1]] or candidates[-1:]
        free = [c for c in inside if not any(_overlap(c, other) for other, _, _ in self._placed)]
        self._placed.append(((free or inside)[0], text, colour))

    def draw_all(self) -> None:
        """Draw what was placed."""
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
