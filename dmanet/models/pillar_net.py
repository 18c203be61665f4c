"""Pillars to canvas: the learned representation of one polarity's events."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
        ``[P, max_points, 6]``: x, y, t, x - mean x, y - mean y, t - mean t; 0 in unused slots.
    """
    points = pillars.points
    count = pillars.num_points[:, None]
    mean = points.sum(dim=1) / count  # [P, 3]; unused slots are 0 and add nothing
    used = torch.arange(points.shape[1], device=points.device) < count  # [P, max_points]
    return torch.cat([points, points - mean[:, None]], dim=2) * used[..., None]


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
        # Convolutions by their parameters (and so by initialisation and published shapes); each
        # is applied as the matrix product it amounts to on the [P, slot, channel] layout.
        self.point_conv = nn.Conv2d(POINT_FEATURES, channels, 1)
        self.norm = BatchNorm(channels, eps=1e-3, momentum=0.01)
        self.slot_conv = nn.Conv2d(channels, channels, (1, self.slots_read))

    def forward(self, positive: Pillars, negative: Pillars) -> tuple[Tensor, Tensor]:
        """Features of both polarities' pillars, ``[P+, C]`` and ``[P-, C]``; P may be 0.

        In training, one set of statistics covers both polarities and all frames, or, with
        ``batch_norm="sample"``, each frame and polarity has its own, as in the release.
        """
        counts = [len(positive.points), len(negative.points)]
        with torch.autocast(positive.points.device.type, enabled=False):
            # Coordinates up to the grid's width do not fit a 16-bit float.
            features = torch.cat([point_features(positive), point_features(negative)])
            features = self._features(features, positive.coords, negative.coords)
        first, second = features.split(counts)
        return first, second

    def _features(self, slots: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        total, max_points, _ = slots.shape
        channels = self.norm.num_features
        hidden = F.linear(
            slots.flatten(0, 1), self.point_conv.weight.flatten(1), self.point_conv.bias
        )
        hidden = hidden.unflatten(0, (total, max_points))  # [P, slot, C]
        if self.training and self.per_sample:
            hidden = self._norm_per_sample(hidden, positive[:, 0], negative[:, 0])
        elif total:
            hidden = self.norm(hidden.flatten(0, 1)).unflatten(0, (total, max_points))
        read = hidden[:, : self.slots_read].relu().flatten(1)  # [P, slot * C]
        weight = self.slot_conv.weight.squeeze(2).transpose(1, 2).reshape(channels, -1)
        return F.linear(read, weight, self.slot_conv.bias)  # [P, C]

    def _norm_per_sample(self, hidden: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        # Running statistics depend on the order of updates: by polarity, then by frame.
        frame = torch.cat([positive, negative])
        polarity = torch.cat([torch.zeros_like(positive), torch.ones_like(negative)])
        group = torch.stack([polarity, frame])
        normed = torch.empty_like(hidden)
        for one in group.unique(dim=1).T:
            rows = (group == one[:, None]).all(dim=0).nonzero().squeeze(1)
            values = self.norm(hidden[rows].flatten(0, 1)).unflatten(0, (-1, hidden.shape[1]))
            normed = normed.index_copy(0, rows, values)
        return normed


def scatter_to_canvas(
    features: Tensor, coords: Tensor, frames: int, grid_size: tuple[int, int]
) -> Tensor:
    """Pillar features at their cells of an otherwise zero canvas.

    Of pillars that share a frame, y and x (they differ in z), the last in pillar order is kept, on
    every device and in every run.

    Args:
        features: ``[P, C]``.
        coords: ``[P, 4]`` int64, frame, z, y, x, all within ``frames`` and ``grid_size``.
        frames: number of frames N.
        grid_size: height H and width W in cells.

    Returns:
        ``[N, C, H, W]`` in channels-last memory; under autocast in its dtype.
    """
    height, width = grid_size
    channels = features.shape[1]
    features = features.to(autocast_dtype(features))
    cell = (coords[:, 0] * height + coords[:, 2]) * width + coords[:, 3]  # [P]
    order = torch.arange(len(cell), device=cell.device)
    last = order.new_full((frames * height * width,), -1)
    last.scatter_reduce_(0, cell, order, "amax")
    kept = last[cell] == order
    canvas = features.new_zeros((frames * height * width, channels))
    canvas[cell[kept]] = features[kept]
    return canvas.view(frames, height, width, channels).permute(0, 3, 1, 2)
