"""Pillars to canvas: the learned representation of one polarity's events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dmanet.models.normalization import BatchNorm, autocast_dtype

POINT_FEATURES = 6
SLOTS_READ = 4  # the release's second convolution has a 4-wide kernel and yields one column


@dataclass(frozen=True)
class Pillars:
    """The pillars of one polarity in all frames of a batch, as ragged rows.

    Attributes:
        points: ``[P, max_points, 3]`` float32, x and y in cells, t in bins; unused slots are 0.
        num_points: ``[P]`` int64, used slots, 1 to max_points; the used slots come first.
        coords: ``[P, 4]`` int64, frame, z, y, x. Frame ``t * B + b`` is step t of sequence b.
    """

    points: Tensor
    num_points: Tensor
    coords: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Pillars":
        """The same pillars on another device."""
        return Pillars(
            self.points.to(device, non_blocking=non_blocking),
            self.num_points.to(device, non_blocking=non_blocking),
            self.coords.to(device, non_blocking=non_blocking),
        )


def point_features(pillars: Pillars) -> Tensor:
    """Features of every slot: the point, and the point relative to its pillar's mean.

    Returns:
        ``[6, max_points, P]``: x, y, t, x - mean x, y - mean y, t - mean t; 0 in unused slots.
    """
    points = pillars.points.permute(2, 1, 0)  # [3, max_points, P]
    # Unused slots are 0 and add nothing to the mean.
    relative = points - points.sum(dim=1, keepdim=True) / pillars.num_points
    slot = torch.arange(points.shape[1], device=points.device)[:, None]
    return torch.cat([points, relative]) * (slot < pillars.num_points)


class PillarNet(nn.Module):
    """The pillar feature net, shared by both polarities.

    Per slot a linear map 6 -> C, batch normalisation and ReLU; then a linear map over the first
    four slots to C features a pillar. A fifth slot therefore only counts in the batch statistics;
    the published weights depend on that. The statistics cover padded slots too, as in the release.
    """

    def __init__(self, channels: int, max_points: int, batch_norm: str = "batch") -> None:
        super().__init__()
        self.slots_read = min(SLOTS_READ, max_points)
        self.per_sample = batch_norm == "sample"
        # Convolutions by their parameters, and so by initialisation and published shapes. Each is
        # applied as the matrix product it amounts to on [channel, slot, pillar].
        self.point_conv = nn.Conv2d(POINT_FEATURES, channels, 1)
        self.norm = BatchNorm(channels, eps=1e-3, momentum=0.01)
        self.slot_conv = nn.Conv2d(channels, channels, (1, self.slots_read))

    def forward(self, positive: Pillars, negative: Pillars) -> tuple[Tensor, Tensor]:
        """Features of both polarities' pillars, ``[P+, C]`` and ``[P-, C]``; P may be 0.

        In training, one set of statistics covers both polarities and all frames, or, with
        ``batch_norm="sample"``, each frame and polarity has its own, as in the release.
        """
        # Coordinates up to the grid's width do not fit a 16-bit float.
        with torch.autocast(positive.points.device.type, enabled=False):
            slots = torch.cat([point_features(positive), point_features(negative)], dim=2)
            _, max_points, total = slots.shape
            hidden = _linear(self.point_conv, slots.flatten(1))
            hidden = hidden.unflatten(1, (max_points, total))  # [C, slot, P]
            if self.training and self.per_sample:
                hidden = self._norm_per_sample(hidden, positive.coords, negative.coords)
            elif total:
                hidden = self._norm(hidden)
            read = hidden[:, : self.slots_read].relu().flatten(0, 1)  # [C * slot, P]
            features = _linear(self.slot_conv, read).T  # [P, C]
        of_positive, of_negative = features.split([len(positive.points), len(negative.points)])
        return of_positive, of_negative

    def _norm(self, hidden: Tensor) -> Tensor:
        # Rows of one channel in a single long dimension: summed pairwise also on a CPU, where the
        # channels-last kernel adds up millions of slots one after the other in float32.
        normed: Tensor = self.norm(hidden.flatten(1)[None])[0]
        return normed.view_as(hidden)

    def _norm_per_sample(self, hidden: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        # By frame, then polarity: running statistics depend on the order of the updates.
        frame = torch.cat([positive[:, 0], negative[:, 0]])
        polarity = torch.arange(len(frame), device=frame.device) >= len(positive)
        sample = 2 * frame + polarity
        normed = torch.empty_like(hidden)
        for one in sample.unique():
            pillars = (sample == one).nonzero().squeeze(1)
            normed = normed.index_copy(2, pillars, self._norm(hidden[:, :, pillars]))
        return normed


def _linear(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Weights and bias of a convolution applied to ``[inputs, n]``: ``[outputs, n]``."""
    assert conv.bias is not None
    return torch.addmm(conv.bias[:, None], conv.weight.flatten(1), x)


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
