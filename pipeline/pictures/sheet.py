"""Pictures side by side on one sheet."""

from collections.abc import Sequence

from PIL import Image

from pipeline.errors import UsageError
from pipeline.pictures.colours import SHEET


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
