"""A drawing in a terminal, read back as a terminal would."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.pictures.terminal import half_blocks, has_true_colour, nearest_of_256

CUBE = (0, 95, 135, 175, 215, 255)
PALETTE = np.array(
    [(r, g, b) for r in CUBE for g in CUBE for b in CUBE] + [(8 + 10 * k,) * 3 for k in range(24)]
)


def screen(lines, rows):
    """What a terminal shows, uint8 ``[rows, columns, 3]``, from its escape codes."""
    pixels = []
    for line in lines:
        upper, lower, colours = [], [], {38: (0, 0, 0), 48: (0, 0, 0)}
        for code, block in re.findall(r"\x1b\[([0-9;]*)m|(▀)", line):
            numbers = [int(one) for one in code.split(";")] if code else []
            if block:
                upper.append(colours[38])
                lower.append(colours[48])
            elif numbers[0] in colours:
                colours[numbers[0]] = (
                    tuple(numbers[2:]) if numbers[1] == 2 else tuple(PALETTE[numbers[2] - 16])
                )
            else:
                assert numbers == [0]
        assert line.endswith("\x1b[0m")
        assert not re.sub(r"\x1b\[[0-9;]*m|▀", "", line)
        pixels += [upper, lower]
    return np.array(pixels[:rows])


@pytest.mark.parametrize("rows", [4, 5])
def test_in_24_bit_colours_every_pixel_is_shown_as_it_is(rows):
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 7, 3), dtype=np.uint8)
    pixels[:, 3:5] = 9  # the same colour again, whose code is not repeated
    lines = list(half_blocks(Image.fromarray(pixels), true_colour=True))
    np.testing.assert_array_equal(screen(lines, rows), pixels)


def test_in_256_colours_every_pixel_is_near_what_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 9, 3), dtype=np.uint8)
    shown = screen(half_blocks(Image.fromarray(pixels), true_colour=False), 4)
    assert np.abs(shown - pixels.astype(int)).max() <= 48  # half of the cube's widest step


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_no_other_of_the_256_colours_is_nearer(colour):
    distances = ((PALETTE - np.array(colour)) ** 2).sum(axis=1)
    assert distances[nearest_of_256(colour) - 16] == distances.min()


def test_the_terminal_says_which_colours_it_shows():
    assert has_true_colour({"COLORTERM": "truecolor"})
    assert has_true_colour({"COLORTERM": "24bit"})
    assert not has_true_colour({"COLORTERM": "yes"})
    assert not has_true_colour({})
