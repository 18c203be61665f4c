"""What a file's name and the number of windows make of pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UsageError
from pipeline.pictures.colours import SHEET
from pipeline.pictures.files import layout_for, write_pictures


def tiles(count, width):
    return [Image.new("RGB", (width, width // 2), (10 * k, 200, 0)) for k in range(1, count + 1)]


@pytest.mark.parametrize(
    ("name", "windows", "film"),
    [
        ("a.png", 1, False),
        ("a.png", 5, False),
        ("a.JPG", 5, False),
        ("a.webp", 1, False),
        ("a.webp", 5, True),
        ("a.gif", 1, True),
        ("a.mp4", 5, True),
    ],
)
def test_the_suffix_and_the_number_of_windows_say_what_it_is(name, windows, film):
    assert layout_for(Path(name), windows, 4, None, 1.0).film is film


@pytest.mark.parametrize("name", ["a", "a.avi", "a.png.txt", "a.", "mp4"])
def test_another_suffix_is_refused_with_those_that_are_known(name):
    with pytest.raises(UsageError, match=r"\.png, \.jpg or \.webp, or \.mp4, \.gif or \.webp"):
        layout_for(Path(name), 1, 4, None, 1.0)


@pytest.mark.parametrize(("windows", "columns"), [(7, 3), (2, 4), (6, 1), (12, 4)])
@pytest.mark.parametrize("width", [500, 960, 1920, 4001])
def test_a_sheet_is_as_wide_as_asked_for_and_each_window_has_its_place(
    tmp_path, windows, columns, width
):
    path = tmp_path / "sheet.png"
    layout = layout_for(path, windows, columns, width, 1.0)
    write_pictures(path, tiles(windows, layout.tile), layout)
    columns = min(columns, windows)
    gap = max(4, layout.tile // 80)
    with Image.open(path) as sheet:
        assert width - 2 * columns <= sheet.width <= width
        pixels = np.asarray(sheet)
    for k in range(windows):
        row, column = divmod(k, columns)
        left = gap + column * (layout.tile + gap)
        top = gap + row * (layout.tile // 2 + gap)
        tile = pixels[top : top + layout.tile // 2, left : left + layout.tile]
        assert (tile == (10 * (k + 1), 200, 0)).all()
        assert (pixels[top - 1, left : left + layout.tile] == SHEET).all()


def test_a_sheet_that_would_be_unreadable_or_endless_is_refused():
    with pytest.raises(UsageError, match=r"fewer --columns or a larger --width"):
        layout_for(Path("a.png"), 64, 64, 960, 1.0)
    with pytest.raises(UsageError, match=r"too many for a sheet"):
        layout_for(Path("a.png"), 1000, 4, None, 1.0)


def test_a_film_has_the_rate_of_the_windows_times_its_speed():
    assert layout_for(Path("a.mp4"), 9, 4, None, 0.25).rate == 5.0
    with pytest.raises(UsageError, match="pictures in a second"):
        layout_for(Path("a.gif"), 9, 4, None, 3.0)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_picture_has_the_format_of_its_name(tmp_path, name):
    path = tmp_path / name
    write_pictures(path, tiles(1, 100), layout_for(path, 1, 4, 100, 1.0))
    with Image.open(path) as picture:
        assert picture.format == {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[name[2:]]
        assert picture.size == (100, 50)
        pixel = picture.convert("RGB").getpixel((50, 25))
        assert np.abs(np.subtract(pixel, (10, 200, 0))).max() <= 2


def test_what_fails_leaves_nothing(tmp_path):
    def failing():
        yield from tiles(2, 100)
        raise RuntimeError("stop")

    for name in ("a.png", "a.mp4", "a.gif", "a.webp"):
        path = tmp_path / name
        layout = layout_for(path, 3, 2, 300, 1.0)
        with pytest.raises(RuntimeError, match="stop"):
            write_pictures(path, failing(), layout)
    assert not list(tmp_path.iterdir())
