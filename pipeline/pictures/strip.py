"""The strip below a picture: its caption at the left, the key of its colours and lines at the right."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from pipeline.pictures.boxes import dashed_rectangle
from pipeline.pictures.cells import time_scale
from pipeline.pictures.colours import (
    LABEL,
    NEGATIVE,
    POSITIVE,
    STRIP,
    STRIP_TEXT,
    class_colour,
    track_colour,
)
from pipeline.pictures.tags import Font

_COLOURS = {"brighter": POSITIVE, "darker": NEGATIVE}


def with_strip(
    picture: Image.Image, font: Font, text_size: int, caption: str, key: Sequence[str]
) -> Image.Image:
    """The picture with a strip below it.

    The caption is cut where it is too long, and a key that would leave it no half of the strip is left
    out.

    Args:
        picture: RGB.
        font: of the strip.
        text_size: of it, pixels; the strip is twice as high.
        caption: what the picture shows.
        key: of ``brighter``, ``darker``, ``time``, ``label``, ``track`` and ``detection``, from the
            left.
    """
    width, top = picture.size
    whole = Image.new("RGB", (width, top + 2 * text_size), STRIP)
    whole.paste(picture, (0, 0))
    draw = ImageDraw.Draw(whole)
    middle, mark = top + text_size, 2 * text_size // 3
    right = float(width - mark)
    widths = {name: _key_width(draw, font, name, mark) for name in key}
    needed = sum(widths.values()) + 1.2 * mark * len(key)
    if needed < width / 2 or needed + draw.textlength(caption, font=font) + 2 * mark < width:
        for name in reversed(key):
            right -= widths[name]
            _draw_key(whole, draw, font, name, (right, middle), mark)
            right -= 1.2 * mark
    while caption and draw.textlength(caption, font=font) > right - mark:
        caption = caption[:-2].rstrip("… ") + "…" if len(caption) > 2 else ""
    draw.text((mark, middle), caption, font=font, fill=LABEL, anchor="lm")
    return whole


def _key_width(draw: ImageDraw.ImageDraw, font: Font, name: str, mark: int) -> float:
    if name == "time":
        return draw.textlength("first", font=font) + draw.textlength("last", font=font) + 5 * mark
    return draw.textlength(name, font=font) + mark + 6


def _draw_key(
    whole: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: Font,
    name: str,
    place: tuple[float, int],
    mark: int,
) -> None:
    x, middle = place
    swatch = (x, middle - mark // 2, x + mark, middle + mark // 2)
    if name == "time":
        draw.text((x, middle), "first", font=font, fill=STRIP_TEXT, anchor="lm")
        x += draw.textlength("first", font=font) + mark / 2
        whole.paste(time_scale(4 * mark, mark), (round(x), round(swatch[1])))
        x += 4 * mark + mark / 2
        draw.text((x, middle), "last", font=font, fill=STRIP_TEXT, anchor="lm")
        return
    if name == "detection":
        draw.rectangle(swatch, outline=class_colour("car"), width=2)
    elif name == "track":
        draw.rectangle(swatch, outline=track_colour(1), width=2)
    elif name == "label":
        dashed_rectangle(draw, (round(x), swatch[1], round(x) + mark, swatch[3]), 1)
    else:
        draw.ellipse(swatch, fill=_COLOURS[name])
    draw.text((x + mark + 6, middle), name, font=font, fill=STRIP_TEXT, anchor="lm")
