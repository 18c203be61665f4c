"""Pictures to a file whose name says what it is: a picture, a sheet of several, or a film."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.errors import UsageError
from pipeline.files.whole import written_whole
from pipeline.pictures.sheet import contact_sheet
from pipeline.pictures.video import check_video, open_video
from pipeline.release.shards import WINDOW_US

_JPEG: dict[str, Any] = {"quality": 92, "subsampling": 0}  # thin lines keep their colours
_PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", _JPEG),
    ".jpeg": ("JPEG", _JPEG),
    ".webp": ("WEBP", {"lossless": True}),
}
_FILMS = (".mp4", ".gif", ".webp")  # a .webp of one window is a picture
_LARGEST_SIDE = 16383  # pixels of a WebP; a sheet beyond it is no sheet to look at
_LEAST_TILE = 120  # pixels of a window's width on a sheet


@dataclass(frozen=True)
class Layout:
    """How windows are laid out in a file.

    Attributes:
        film: whether they follow each other, rather than stand on a sheet.
        columns: windows side by side on a sheet; 1 elsewhere.
        tile: width of a window's picture, pixels.
        rate: pictures in a second of a film.
    """

    film: bool
    columns: int
    tile: int
    rate: float


def layout_for(path: Path, windows: int, columns: int, width: int | None, speed: float) -> Layout:
    """The layout of so many windows in a file of this name, checked before any work.

    Args:
        path: the file; its suffix chooses.
        windows: how many.
        columns: side by side at most, where they get a sheet.
        width: of the whole picture in pixels; None: 960, and a sheet 1920.
        speed: of a film, 1 as it was.

    Raises:
        UsageError: the suffix is unknown, a film cannot be written, or a sheet would be too large.
    """
    suffix = path.suffix.lower()
    if suffix not in {*_PICTURES, *_FILMS}:
        raise UsageError(
            f"{path}: its suffix says no kind of picture; give .png, .jpg or .webp, or .mp4, .gif or "
            ".webp for a film."
        )
    rate = speed * 1e6 / WINDOW_US
    if suffix in (".mp4", ".gif") or (suffix in _FILMS and windows > 1):
        check_video(path, rate)
        return Layout(True, 1, width or 960, rate)
    if windows == 1:
        return Layout(False, 1, width or 960, rate)
    columns = min(columns, windows)
    whole = width or 1920
    # A gap of 1/80 of a tile, at least 4 pixels, around each one; see `contact_sheet`.
    tile = int(min(whole / (columns + (columns + 1) / 80), (whole - 4 * (columns + 1)) / columns))
    rows = -(-windows // columns)
    if tile < _LEAST_TILE:
        raise UsageError(
            f"{path}: {columns} windows side by side get {max(tile, 0)} pixels each on a sheet "
            f"{whole} wide, and need {_LEAST_TILE}; give fewer --columns or a larger --width."
        )
    if rows * tile // 2 > _LARGEST_SIDE:  # sensors are about half as high as wide, or higher
        raise UsageError(
            f"{path}: {windows} windows are too many for a sheet; give fewer, more --columns, or a "
            "film (.mp4)."
        )
    return Layout(False, columns, tile, rate)


def write_pictures(path: Path, images: Iterable[Image.Image], layout: Layout) -> None:
    """Write pictures of windows, whole or not at all.

    Args:
        path: the file.
        images: one for each window, as wide as the layout's tile.
        layout: of :func:`layout_for`, for this file.

    Raises:
        UsageError: a picture is larger than its format allows.
        OSError: the file cannot be written.
    """
    if layout.film:
        with open_video(path, layout.rate) as video:
            for image in images:
                video.write(np.asarray(image))
        return
    drawn = list(images)
    picture = drawn[0] if len(drawn) == 1 else contact_sheet(drawn, layout.columns)
    if max(picture.size) > _LARGEST_SIDE:
        raise UsageError(
            f"{path}: a picture of {picture.width}×{picture.height} pixels is too large, its sides "
            f"have at most {_LARGEST_SIDE}; give fewer windows or a smaller --width."
        )
    kind, options = _PICTURES[path.suffix.lower()]
    with written_whole(path) as unfinished:
        picture.save(unfinished, format=kind, **options)
