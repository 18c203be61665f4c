"""Pillars to features: the learned representation of events."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dmanet.models.normalization import BatchNorm
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
    """The used slots of P pillars, of which each has at least one.

    Args:
        points: ``[P, max_points, 3]`` float32, unused slots 0.
        num_points: ``[P]`` int64.
    """
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
        """Features of both polarities' pillars.

        In training, one set of statistics covers both polarities and all frames, or, with
        ``batch_norm="sample"``, each frame and polarity has its own, as in the release.

        Args:
            positive: P+ pillars, perhaps none.
            negative: P- pillars, perhaps none.

        Returns:
            ``[P+, C]`` and ``[P-, C]``.
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
        """The normalisation as a part of the map: ``scale * W x + shift`` is the normalised ``W x + b``.

        Args:
            used: the used slots of P pillars.
            num_points: ``[P]`` int64.
            group: ``[P]`` int64, whose statistics a pillar shares; None: all share one set.
            frames: ``[G]`` int64, the frame of each group; None without groups.

        Returns:
            ``scale`` and ``shift``, ``[G, C]`` float32 each, one row for each group or one for all.
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
    """Pillars grouped by frame and polarity.

    The order matters: running statistics depend on that of the updates.

    Args:
        positive: ``[P+]`` int64, frame of each positive pillar.
        negative: ``[P-]`` int64, frame of each negative pillar.

    Returns:
        ``[P]`` int64, the group of each pillar, counted over those that occur by frame and polarity;
        and ``[G]`` int64, the frame of each group.
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
    """Moments of the inputs of all slots, used or not, in float64.

    Squares of coordinates cancel without loss there. Without groups they are those of all ``ranks``.
    The inputs are data and have no gradient, so that each rank's gradients are its own part of the
    whole.

    Returns:
        Mean ``[G, 6]``, covariance ``[G, 6, 6]`` and number of slots ``[G]``.
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
