"""Pillars to canvas: the learned representation of one polarity's events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dmanet.models.normalization import BatchNorm, autocast_dtype
from dmanet.ranks import Ranks

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


@dataclass(frozen=True)
class UsedSlots:
    """The used slots of P pillars: all first ones, then those of slot 1, of slot 2, and so on.

    Attributes:
        features: ``[Q, 6]`` float32, x, y, t, and the same relative to the pillar's mean.
        pillar: ``[Q]`` int64, whose slot it is.
        counts: how many there are of each slot: ``max_points`` numbers that add up to Q.
    """

    features: Tensor
    pillar: Tensor
    counts: tuple[int, ...]


def used_slots(points: Tensor, num_points: Tensor) -> UsedSlots:
    """The used slots of ``points`` ``[P, max_points, 3]``, of which each pillar has at least one."""
    slots = torch.arange(1, points.shape[1], device=points.device)
    slot, pillar = (slots[:, None] < num_points).nonzero(as_tuple=True)  # few, often none
    counts = (slot == slots[:, None] - 1).sum(dim=1).tolist() if len(slot) else [0] * len(slots)
    mean = points.sum(dim=1) / num_points[:, None]  # [P, 3]: unused slots are 0 and add nothing
    used = torch.cat([points[:, 0], points[pillar, slot + 1]])  # [Q, 3]
    pillar = torch.cat([torch.arange(len(points), device=points.device), pillar])
    features = torch.cat([used, used - mean[pillar]], dim=1)
    return UsedSlots(features, pillar, (len(points), *counts))


class PillarNet(nn.Module):
    """The pillar feature net, shared by both polarities.

    Per slot a linear map 6 -> C, batch normalisation and ReLU; then a linear map over the first
    four slots to C features a pillar. A fifth slot therefore only counts in the batch statistics;
    the published weights depend on that. The statistics cover unused slots too, as in the release.

    Unused slots have inputs of 0 and all come to the same value, and most slots are unused: only the
    used ones are computed. The mean and variance of a linear map follow from the means and the
    covariance of its six inputs, so the normalisation is a part of the map.
    """

    def __init__(self, channels: int, max_points: int, batch_norm: str = "batch") -> None:
        super().__init__()
        self.max_points = max_points
        self.slots_read = min(SLOTS_READ, max_points)
        self.per_sample = batch_norm == "sample"
        # Modules for their parameters, and so for initialisation and published shapes; each is
        # applied as the matrix product it amounts to.
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
            num_points = torch.cat([positive.num_points, negative.num_points])  # [P]
            used = used_slots(torch.cat([positive.points, negative.points]), num_points)
            group = frames = None
            if self.per_sample and self.norm.training:
                group, frames = _samples(positive.coords[:, 0], negative.coords[:, 0])  # [P], [G]
            scale, shift = self._normalisation(used, num_points, group, frames)  # [G, C] each
            weight = self.point_conv.weight.flatten(1)
            if group is None:
                active = torch.addmm(shift, used.features, (weight * scale.T).T)  # [Q, C]
            else:
                of_slot = group[used.pillar]
                scale, shift = scale.index_select(0, of_slot), shift.index_select(0, of_slot)
                active = torch.addcmul(shift, used.features @ weight.T, scale)
            unused = shift[: len(num_points)].relu()  # what an unused slot comes to, [P or 1, C]
            features = self._read(active.relu_(), unused, used, num_points)  # [P, C]
        of_positive, of_negative = features.split([len(positive.points), len(negative.points)])
        return of_positive, of_negative

    def _read(self, active: Tensor, unused: Tensor, used: UsedSlots, num_points: Tensor) -> Tensor:
        """The map over the slots: ``[P, C]`` from used slots ``[Q, C]`` and the value of unused ones."""
        assert self.slot_conv.bias is not None
        weights = self.slot_conv.weight[:, :, 0].permute(2, 1, 0)  # [slot, C in, C out]
        slots = active.split(list(used.counts))
        pillars = used.pillar.split(list(used.counts))
        constant = self.slot_conv.bias  # [P or 1, C], with what slots come to that no pillar uses
        for s in range(1, self.slots_read):
            if not used.counts[s]:
                constant = constant + unused @ weights[s]
        features = torch.addmm(constant, slots[0], weights[0])  # [P, C]
        for s in range(1, self.slots_read):
            if used.counts[s]:
                without = (num_points <= s)[:, None] * (unused @ weights[s])
                features = (features + without).index_add(0, pillars[s], slots[s] @ weights[s])
        return features

    def _normalisation(
        self,
        used: UsedSlots,
        num_points: Tensor,
        group: Tensor | None,
        frames: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """``scale`` and ``shift`` ``[G, C]`` float32 with which ``scale * W x + shift`` is the
        normalised ``W x + b``; one row for each group of pillars, of the frame that ``frames`` says,
        or one for all.
        """
        norm, bias = self.norm, self.point_conv.bias
        assert bias is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, var = norm.running_mean.double()[None], norm.running_var.double()[None]
        if norm.training:
            inputs, covariance, values = _moments(
                used, num_points, group, self.max_points, norm.ranks
            )
            weight = self.point_conv.weight.flatten(1).double()  # [C, 6]
            own_mean = inputs @ weight.T + bias.double()  # [G, C]
            own_var = torch.einsum("ci,gij,cj->gc", weight, covariance, weight).clamp(min=0)
            counted = (own_mean.detach(), own_var.detach(), values)
            norm.count(*(counted if frames is None else _of_all_ranks(counted, frames, norm.ranks)))
            several = values[:, None] > 1  # a single value has no variance
            mean, var = torch.where(several, own_mean, mean), torch.where(several, own_var, var)
        scale = norm.weight * torch.rsqrt(var + norm.eps)
        shift = norm.bias + scale * (bias - mean)
        return scale.float(), shift.float()


def _samples(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the frame and polarity of each pillar, of those that occur, in that order ``[P]``, and
    the frame of each of these ``[G]``.

    The order matters: running statistics depend on that of the updates.
    """
    sample = torch.cat([2 * positive, 2 * negative + 1])
    samples, group = sample.unique(return_inverse=True)
    return group, samples // 2


def _of_all_ranks(
    own: tuple[Tensor, Tensor, Tensor], frames: Tensor, ranks: Ranks
) -> tuple[Tensor, Tensor, Tensor]:
    """Means ``[G, C]``, variances ``[G, C]`` and values ``[G]`` of the groups of all ranks.

    They come frame by frame and within a frame rank by rank, so that late windows count most.
    """
    if ranks.world_size == 1:
        return own
    mean, var, values = own
    rows = torch.cat(
        ranks.all_gather_rows(torch.cat([frames[:, None], values[:, None], mean, var], dim=1))
    )
    rows = rows[rows[:, 0].argsort(stable=True)]
    mean, var = rows[:, 2:].chunk(2, dim=1)
    return mean, var, rows[:, 1]


def _moments(
    used: UsedSlots, num_points: Tensor, group: Tensor | None, max_points: int, ranks: Ranks
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean ``[G, 6]`` and covariance ``[G, 6, 6]`` of the inputs of all slots, and their number
    ``[G]``, used or not; in float64, where squares of coordinates cancel without loss.

    Without groups they are those of all ``ranks``. The inputs are data and have no gradient, so that
    each rank's gradients are its own part of the whole.
    """
    x = used.features.double()
    if group is None:
        values = x.new_full((1,), max_points * len(num_points))
        total, products = x.sum(dim=0)[None], (x.T @ x)[None]
        if ranks.world_size > 1:
            sums = torch.cat([values, total.flatten(), products.flatten()])
            values, total, products = ranks.all_reduce(sums).split(
                [1, total.numel(), products.numel()]
            )
            total = total.view(1, POINT_FEATURES)
            products = products.view(1, POINT_FEATURES, POINT_FEATURES)
    else:
        groups = int(group.max()) + 1 if len(group) else 0
        of_slot = group[used.pillar]
        empty = x.new_zeros((groups, POINT_FEATURES))
        values = x.new_zeros(groups).index_add(0, group, x.new_full((len(group),), max_points))
        total = empty.index_add(0, of_slot, x)
        products = torch.stack(
            [empty.index_add(0, of_slot, x * column[:, None]) for column in x.unbind(1)], dim=1
        )
    mean = total / values.clamp(min=1)[:, None]
    second = products / values.clamp(min=1)[:, None, None]
    return mean, second - mean[:, :, None] * mean[:, None, :], values


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
