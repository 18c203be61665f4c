"""Random transforms of frames: drawn from integers, exact in integers, the same on every device."""

from dataclasses import dataclass

import torch
from torch import Tensor

#: Zoom and shift are whole multiples of 1 / ONE, so that pixels are placed in integers, not in floats.
ONE = 1 << 16
_HALF_STEPS = 17  # a pixel's centre is at an odd number of half pixels: 16 bits, and one more

# The constants of SplitMix64 (Steele, Lea and Flood 2014) as signed integers; their products wrap.
_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


@dataclass(frozen=True)
class FrameTransforms:
    """One transform for each of N frames: mirrored first, then zoomed about the centre and shifted.

    With coordinates from 0 to 1 over the frame, ``x' = zoom · (x − ½) + ½ + shift`` and y likewise.

    Attributes:
        flip: ``[N]`` bool, left and right exchanged.
        swap: ``[N]`` bool, the two polarities exchanged.
        zoom: ``[N]`` int64, in 1/65536; above 65536 shows a part of the frame enlarged.
        shift: ``[N, 2]`` int64, along x and y, in 1/65536 of the frame.
    """

    flip: Tensor
    swap: Tensor
    zoom: Tensor
    shift: Tensor

    def place(self, pixel: Tensor, frame: Tensor, size: Tensor) -> Tensor:
        """Where pixels go: each to the one that its transformed centre lies in.

        Args:
            pixel: ``[Q, 2]`` int64, x and y.
            frame: ``[Q]`` int64, whose they are.
            size: ``[Q, 2]`` int64, width and height, in pixels, of the picture that each stands in.

        Returns:
            ``[Q, 2]`` int64, also out of sight.
        """
        mirrored = torch.where(self.flip[frame], size[:, 0] - 1 - pixel[:, 0], pixel[:, 0])
        centre = 2 * torch.stack([mirrored, pixel[:, 1]], dim=1) + 1  # [Q, 2] half pixels
        moved = self.zoom[frame, None] * (centre - size) + (ONE + 2 * self.shift[frame]) * size
        return moved >> _HALF_STEPS

    def place_boxes(self, boxes: Tensor, frame: Tensor, size: Tensor) -> Tensor:
        """Where boxes go.

        Args:
            boxes: ``[K, 4]`` float64, x1, y1, x2, y2.
            frame: ``[K]`` int64, whose they are.
            size: ``[2]`` float64, width and height of the frame in the boxes' units.

        Returns:
            ``[K, 4]`` float64, not cut to the frame.
        """
        flipped = torch.stack(
            [size[0] - boxes[:, 2], boxes[:, 1], size[0] - boxes[:, 0], boxes[:, 3]], dim=1
        )
        boxes = torch.where(self.flip[frame, None], flipped, boxes)
        size = size.repeat(2)  # [4]
        shift = self.shift[frame].repeat(1, 2) / ONE  # [K, 4]
        return self.zoom[frame, None] / ONE * (boxes - size / 2) + size / 2 + shift * size


def draw_transforms(
    draws: Tensor, flip: float, swap: float, zoom: tuple[float, float], shift: float
) -> FrameTransforms:
    """The transforms of N frames, each by its draw alone.

    Args:
        draws: ``[N]`` int64, the frames' seeds.
        flip: probability that left and right are exchanged.
        swap: probability that the polarities are exchanged.
        zoom: least and largest factor, between which it is uniform.
        shift: farthest shift either way along both axes, up to which it is uniform, as a share of
            the frame.
    """
    # Words 1 to 5 of each draw's sequence, with one use each: what one setting is never changes
    # what the others draw.
    words = random_words(draws, 5)  # [N, 5]
    low, high = (round(factor * ONE) for factor in zoom)
    reach = round(shift * ONE)
    return FrameTransforms(
        flip=_happens(words[:, 0], flip),
        swap=_happens(words[:, 1], swap),
        zoom=low + words[:, 2] % (high - low + 1),
        shift=words[:, 3:] % (2 * reach + 1) - reach,
    )


def random_words(seeds: Tensor, count: int) -> Tensor:
    """The first outputs of SplitMix64 from each seed.

    Only the seed and the place in its sequence count: no generator's state, no device, no neighbour.

    Args:
        seeds: ``[N]`` int64.
        count: outputs of each.

    Returns:
        ``[N, count]`` int64, the upper 63 bits of each output, so that none is negative.
    """
    counter = torch.arange(1, count + 1, device=seeds.device)
    z = seeds[:, None] + counter * _GAMMA
    z = (z ^ _shifted(z, 30)) * _MIX_1
    z = (z ^ _shifted(z, 27)) * _MIX_2
    return _shifted(z ^ _shifted(z, 31), 1)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """The bits of an int64 moved right with zeros behind them, where ``>>`` repeats the sign."""
    return z >> bits & ((1 << (64 - bits)) - 1)


def _happens(words: Tensor, probability: float) -> Tensor:
    """Whether an event of this probability happens, for each of ``[N]`` random words."""
    return words >> 10 < round(probability * (1 << 53))
