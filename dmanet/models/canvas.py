"""Pillar features to the canvas: each at its cell, polarity beside polarity."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dmanet.models.normalization import autocast_dtype


def scatter_to_canvas(
    features: Sequence[Tensor], coords: Sequence[Tensor], frames: int, grid_size: tuple[int, int]
) -> Tensor:
    """Pillar features at their cells of an otherwise zero canvas, polarity beside polarity.

    Of pillars that share a polarity, frame, y and x (they differ in z), the last in pillar order is
    kept, on every device and in every run.

    Args:
        features: for each polarity ``[P, C]``.
        coords: for each polarity ``[P, 4]`` int64, frame, z, y, x, all within ``frames`` and
            ``grid_size``.
        frames: number of frames N.
        grid_size: height H and width W in cells.

    Returns:
        ``[N, polarities * C, H, W]`` in channels-last memory; under autocast in its dtype.
    """
    height, width = grid_size
    polarities, channels = len(features), features[0].shape[1]
    places = torch.cat(
        [
            ((of[:, 0] * height + of[:, 2]) * width + of[:, 3]) * polarities + polarity
            for polarity, of in enumerate(coords)
        ]
    )  # [P of all]
    joined = torch.cat(list(features))
    rows: Tensor = _Scatter.apply(
        joined.to(autocast_dtype(joined)), places, frames * height * width * polarities
    )
    return rows.view(frames, height, width, polarities * channels).permute(0, 3, 1, 2)


class _Scatter(torch.autograd.Function):
    """Rows to places of a zero tensor; of rows with the same place the last counts.

    By hand because a mask of the rows that count has a length that a GPU would have to tell the
    host before anything could go on. Instead every row writes what the last one at its place holds.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, size: int) -> Tensor:
        order = torch.arange(len(rows), device=rows.device)
        last = order.new_full((size,), -1).scatter_reduce_(0, places, order, "amax")
        winner = last[places]  # [P]
        ctx.save_for_backward(places, winner == order)
        out = rows.new_zeros((size, rows.shape[1]))
        out[places] = rows[winner]
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        places, counts = ctx.saved_tensors
        return torch.where(counts[:, None], gradient[places], 0.0), None, None
