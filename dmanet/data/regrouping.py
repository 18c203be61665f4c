"""Pillars whose points moved: put into cells anew, on the points' device.

Events are known to a *pixel*: one of the sensor in preset `paper`; a cell of the canvas in preset
`release`, which keeps no more of where they were. Transforms move pixels to pixels, and what happens
to a window's events on their way into pillars is then done once more with the points left of them.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dmanet.data.frame_transforms import FrameTransforms
from dmanet.models.pillar_net import Pillars

_FRAME_BITS = 29  # sensors have at most 2**28 pixels, and packed pillars fewer than 2**29 cells
_FOREVER = 2**63 - 1


@dataclass(frozen=True)
class Pixels:
    """The pixels that the points of N frames stand on.

    Attributes:
        size: ``[N, 2]`` int64, width and height of each frame in pixels.
        grid_size: height and width of the canvas in cells.
    """

    size: Tensor
    grid_size: tuple[int, int]

    @cached_property
    def grid(self) -> Tensor:
        """``[2]`` int64, width and height of the canvas in cells."""
        return torch.tensor(self.grid_size[::-1], device=self.size.device)

    def of_points(self, points: Tensor, frame: Tensor) -> Tensor:
        """Pixels of coordinates ``[Q, 2]`` (x, y in cells) in frames ``[Q]`` → int64 ``[Q, 2]``.

        Exact: a float32 coordinate is much closer to its pixel than to the next.
        """
        return (points.double() * self.size[frame] / self.grid).round().long()

    def to_points(self, pixels: Tensor, frame: Tensor) -> Tensor:
        """The inverse of :meth:`of_points`: the very float32 numbers that voxelizing gives."""
        return (pixels.double() / self.size[frame] * self.grid).float()

    def to_cells(self, pixels: Tensor, frame: Tensor) -> Tensor:
        """Column and row of the cells that pixels ``[Q, 2]`` lie in → int64 ``[Q, 2]``."""
        return pixels * self.grid // self.size[frame]

    def number(self, pixels: Tensor, frame: Tensor) -> Tensor:
        """The pixels ``[Q, 2]`` of each frame counted row by row: ``[Q]``, below 2**29."""
        return pixels[:, 1] * self.size[frame, 0] + pixels[:, 0]


def flip_cells(pillars: Pillars, flip: Tensor, pixels: Pixels) -> Pillars:
    """Left and right exchanged, pillar by pillar.

    Only where each frame's width is a multiple of the grid's: otherwise a pixel may lie across a
    border of cells, and what shares a cell on the left is parted on the right.

    Args:
        pillars: of N frames.
        flip: ``[N]`` bool, the frames to mirror.
        pixels: that their points stand on.
    """
    frame = pillars.coords[:, 0]
    used = torch.arange(pillars.points.shape[1], device=flip.device) < pillars.num_points[:, None]
    width, columns = pixels.size[frame, :1], pixels.grid_size[1]  # [P, 1]
    pixel = (pillars.points[..., 0].double() * width / columns).round()  # [P, S]
    mirrored = ((width - 1 - pixel) / width * columns).float()
    points, coords = pillars.points.clone(), pillars.coords.clone()
    points[..., 0] = torch.where(flip[frame, None] & used, mirrored, points[..., 0])
    coords[:, 3] = torch.where(flip[frame], columns - 1 - coords[:, 3], coords[:, 3])
    return Pillars(points, pillars.num_points, coords)


def swap_polarities(positive: Pillars, negative: Pillars, swap: Tensor) -> tuple[Pillars, Pillars]:
    """Positive and negative pillars exchanged in the frames of ``swap`` (``[N]`` bool)."""
    leaves, comes = swap[positive.coords[:, 0]], swap[negative.coords[:, 0]]
    return (
        _join(_rows(positive, ~leaves), _rows(negative, comes)),
        _join(_rows(negative, ~comes), _rows(positive, leaves)),
    )


def regroup(
    positive: Pillars,
    negative: Pillars,
    transforms: FrameTransforms,
    pixels: Pixels,
    *,
    one_per_pixel: bool,
) -> tuple[Pillars, Pillars]:
    """Positive and negative pillars of frames under their transforms.

    Points that leave the frame are dropped. With ``one_per_pixel``, of points that meet on a pixel
    the earliest stays, over both polarities. A pillar keeps its earliest ``max_points``. Points keep
    their times and their cells along time. Among equal times the pixel that a point comes from
    decides, row by row; the two polarities of one pixel and time (the copy that preset `release`
    makes for a polarity without events) stay together.

    Args:
        positive: pillars of N frames.
        negative: the same of the other polarity.
        transforms: of these frames.
        pixels: that their points stand on.
        one_per_pixel: whether a pixel holds one point at most.

    Returns:
        Positive and negative pillars, sorted by frame and cell (z, y, x), their points by time.
    """
    both = _join(negative, positive)
    frames, slots = len(pixels.size), both.points.shape[1]
    pillar, slot = torch.nonzero(
        torch.arange(slots, device=both.points.device) < both.num_points[:, None], as_tuple=True
    )  # [Q] each
    points, frame = both.points[pillar, slot], both.coords[pillar, 0]  # [Q, 3], [Q]
    source = pixels.of_points(points[:, :2], frame)  # [Q, 2]
    target = transforms.place(source, frame, pixels.size[frame])  # [Q, 2]
    # Bits of floats that are not negative sort as the floats do.
    time = points[:, 2].contiguous().view(torch.int32).long()
    since = time << _FRAME_BITS | pixels.number(source, frame)  # [Q] time, then pixel
    kept = ((target >= 0) & (target < pixels.size[frame])).all(dim=1).nonzero()[:, 0]  # [R]
    if one_per_pixel:
        where = frame << _FRAME_BITS | pixels.number(target, frame)
        kept = kept[_earliest(since[kept], where[kept])]

    pillar, frame, target, since = pillar[kept], frame[kept], target[kept], since[kept]
    polarity = (pillar >= len(negative.points)) ^ transforms.swap[frame]
    column, row = pixels.to_cells(target, frame).unbind(1)
    rows, columns = pixels.grid_size
    cell = (both.coords[pillar, 1] * rows + row) * columns + column
    key = (polarity * frames + frame) << _FRAME_BITS | cell
    # By pillar, and in a pillar by time. Memory is only read at random here: all else is in order.
    by_time = since.argsort(stable=True)
    key, order = key[by_time].sort(stable=True)
    order = by_time[order]
    moved = torch.cat([pixels.to_points(target, frame), points[kept, 2:]], dim=1)[order]
    key, run, count = torch.unique_consecutive(key, return_inverse=True, return_counts=True)
    rank = torch.arange(len(run), device=run.device) - (count.cumsum(0) - count)[run]
    fits = rank < slots
    grouped = points.new_zeros((len(key), slots, 3))
    grouped[run[fits], rank[fits]] = moved[fits]
    segment, cell = key >> _FRAME_BITS, key & ((1 << _FRAME_BITS) - 1)
    coords = torch.stack(
        [segment % frames, cell // (rows * columns), cell // columns % rows, cell % columns], dim=1
    )
    pillars = Pillars(grouped, count.clamp(max=slots), coords)
    is_positive = segment >= frames
    return _rows(pillars, is_positive), _rows(pillars, ~is_positive)


def _earliest(since: Tensor, where: Tensor) -> Tensor:
    """Which of the points have the least ``since`` of those that share a ``where``: ``[R]`` bool."""
    where, order = where.sort(stable=True)
    where, run = torch.unique_consecutive(where, return_inverse=True)
    since = since[order]
    least = since.new_full(where.shape, _FOREVER).scatter_reduce_(0, run, since, "amin")
    chosen = torch.empty_like(order, dtype=torch.bool)
    chosen[order] = since == least[run]
    return chosen


def _join(first: Pillars, second: Pillars) -> Pillars:
    return Pillars(
        torch.cat([first.points, second.points]),
        torch.cat([first.num_points, second.num_points]),
        torch.cat([first.coords, second.coords]),
    )


def _rows(pillars: Pillars, chosen: Tensor) -> Pillars:
    return Pillars(pillars.points[chosen], pillars.num_points[chosen], pillars.coords[chosen])
