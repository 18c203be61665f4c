"""Picture files as figures of a page that holds everything itself."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from dmanet.evaluation.details import WorstWindow
from dmanet.reporting.worst_pictures import worst_picture_name
from pipeline.errors import DataError
from pipeline.files.inputs import read_regular
from pipeline.report.elements import Figure

MOST_PICTURES = 8  # of a folder
_LARGEST_FILE = 32 << 20  # bytes
_MOST_PIXELS = 64_000_000
_WIDTH = 640  # pixels in the page
_LONGEST_TEXT = 300  # characters
_FORMATS = ("PNG", "JPEG", "WEBP")


def picture_files(folder: Path) -> list[Path]:
    """The first pictures of a folder by name; none where there is no such folder."""
    return sorted(folder.glob("*.png"))[:MOST_PICTURES]


def worst_window_figures(files: Sequence[Path], worst: Sequence[WorstWindow]) -> list[Figure]:
    """Pictures that `dmanet evaluate --pictures` wrote, told as far as they are of ``worst``.

    Raises:
        DataError: a file is no picture, or a huge one.
    """
    known = {worst_picture_name(place, one): one for place, one in enumerate(worst)}
    figures = []
    for file in files:
        told = None
        if one := known.get(file.name):
            told = (
                f"{one.recording}, window {one.window} at {one.t / 1e6:.2f} s: {one.missed} of "
                f"{one.labels} labels missed, {one.wrong} wrong detections"
            )
        figures.append(embedded(file, told))
    return figures


def embedded(file: Path, told: str | None = None) -> Figure:
    """A picture as a figure; ``told`` stands under it and is what a screen reader says.

    Without it the file's own description does, or else its name.

    Raises:
        DataError: it is no picture, or a huge one.
    """
    try:
        with Image.open(io.BytesIO(read_regular(file, _LARGEST_FILE)), formats=_FORMATS) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise DataError(
                    f"{file}: is a picture of {opened.width} × {opened.height} pixels, more than a "
                    f"page holds ({_MOST_PIXELS}); make it smaller."
                )
            described = opened.info.get("Description")
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"{file}: is no picture that can be shown; take it away or write the pictures again."
        ) from None
    if told is None:
        told = str(described or file.stem.replace("_", " "))[:_LONGEST_TEXT]
    if picture.width > _WIDTH:
        height = max(1, round(picture.height * _WIDTH / picture.width))
        picture = picture.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=82, method=4)
    data = base64.b64encode(buffer.getvalue()).decode()
    size = f'width="{picture.width}" height="{picture.height}"'
    address = f"data:image/webp;base64,{data}"
    return Figure(f'<img class="picture" alt="{escape(told)}" {size} src="{address}">', title=told)
