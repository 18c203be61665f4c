from fractions import Fraction
from math import floor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmanet.data.frame_transforms import ONE, FrameTransforms, draw_transforms, random_words

DRAWS = st.integers(0, 2**63 - 1)


def splitmix64(seed, count):
    """The published algorithm in integers of any size."""
    words, mask = [], 2**64 - 1
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        words.append(z ^ (z >> 31))
    return words


@given(st.lists(DRAWS, min_size=1, max_size=4), st.integers(1, 6))
def test_words_are_those_of_splitmix64(seeds, count):
    words = random_words(torch.tensor(seeds), count)
    assert words.tolist() == [[w >> 1 for w in splitmix64(s, count)] for s in seeds]


def test_the_first_word_of_seed_zero_is_the_published_one():
    assert random_words(torch.tensor([0]), 1).item() == 0xE220A8397B1DCDAF >> 1


@given(st.lists(DRAWS, min_size=2, max_size=8))
def test_a_draw_gives_its_transform_in_any_company(draws):
    settings = {"flip": 0.5, "swap": 0.5, "zoom": (0.7, 1.4), "shift": 0.2}
    together = draw_transforms(torch.tensor(draws), **settings)
    for row, draw in enumerate(draws):
        alone = draw_transforms(torch.tensor([draw]), **settings)
        for name, values in vars(together).items():
            assert torch.equal(values[row], vars(alone)[name][0])


def test_draws_are_as_probable_and_as_far_as_asked():
    draws = torch.arange(20_000)  # neighbours: a weak hash would show
    transforms = draw_transforms(draws, 0.3, 0.0, (0.5, 1.5), 0.25)
    assert transforms.flip.double().mean().item() == pytest.approx(0.3, abs=0.02)
    assert not transforms.swap.any()
    assert draw_transforms(draws, 1.0, 1.0, (1.0, 1.0), 0.0).flip.all()
    zoom, shift = transforms.zoom / ONE, transforms.shift / ONE
    assert 0.5 <= zoom.min() < zoom.max() <= 1.5
    assert -0.25 <= shift.min() < shift.max() <= 0.25
    for values, low, high in (
        (zoom, 0.5, 1.5),
        (shift[:, 0], -0.25, 0.25),
        (shift[:, 1], -0.25, 0.25),
    ):
        share = torch.histc(values.float(), 10, low, high) / len(draws)
        assert (share - 0.1).abs().max() < 0.015
    together = torch.stack([transforms.flip, zoom, *shift.T])
    assert (torch.corrcoef(together) - torch.eye(4)).abs().max() < 0.03


def test_one_setting_does_not_change_what_another_draws():
    draws = torch.arange(100)
    one, other = (
        draw_transforms(draws, 0.5, 0.0, (1.0, 1.0), 0.1),
        draw_transforms(draws, 0.5, 0.5, (0.5, 2.0), 0.1),
    )
    assert torch.equal(one.flip, other.flip)
    assert torch.equal(one.shift, other.shift)


@given(
    width=st.integers(1, 1 << 14),
    height=st.integers(1, 1 << 14),
    flip=st.booleans(),
    zoom=st.integers(ONE // 4, 4 * ONE),
    shift=st.tuples(st.integers(-ONE // 2, ONE // 2), st.integers(-ONE // 2, ONE // 2)),
    data=st.data(),
)
def test_pixels_go_where_their_centres_go(width, height, flip, zoom, shift, data):
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    one = FrameTransforms(
        torch.tensor([flip]), torch.tensor([False]), torch.tensor([zoom]), torch.tensor([shift])
    )
    placed = one.place(torch.tensor([[x, y]]), torch.tensor([0]), torch.tensor([[width, height]]))
    expected = []
    for pixel, side, by, mirrored in ((x, width, shift[0], flip), (y, height, shift[1], False)):
        centre = (pixel + Fraction(1, 2)) / side
        centre = 1 - centre if mirrored else centre
        centre = (
            Fraction(zoom, ONE) * (centre - Fraction(1, 2)) + Fraction(1, 2) + Fraction(by, ONE)
        )
        expected.append(floor(centre * side))
    assert placed.tolist() == [expected]
