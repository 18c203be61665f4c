"""Pillars to features: the learned representation of events.

What is counted and gathered is data without a gradient, and is worked out by numpy in float64, which
jittor arrays do not have. See :mod:`dmanet.models.pillar_net` for the same in torch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmanet_jittor.framework import jt
from dmanet_jittor.models.layers import BatchNorm

POINT_FEATURES = 6
SLOTS_READ = 4  # the release's second convolution has a 4-wide kernel and yields one column


@dataclass(frozen=True)
class Pillars:
    """The pillars of one polarity in all frames of a batch, as numpy arrays.

    Attributes:
        points: ``[P, max_points, 3]`` float32, x and y in cells, t in bins; unused slots are 0.
        num_points: ``[P]`` int64, used slots, 1 to max_points; the used slots come first.
        coords: ``[P, 4]`` int64, frame, z, y, x. Frame ``t * B + b`` is step t of sequence b.
    """

    points: np.ndarray
    num_points: np.ndarray
    coords: np.ndarray


@dataclass(frozen=True)
class UsedSlots:
    """The used slots of P pillars: all first ones, then those of slot 1, of slot 2, and so on.

    Attributes:
        features: ``[Q, 6]`` float64, x, y, t, and the same relative to the pillar's mean.
        pillar: ``[Q]`` int64, whose slot it is.
        counts: how many there are of each slot: ``max_points`` numbers that add up to Q.
    """

    features: np.ndarray
    pillar: np.ndarray
    counts: tuple[int, ...]


def used_slots(points: np.ndarray, num_points: np.ndarray) -> UsedSlots:
    """The used slots of P pillars, of which each has at least one.

    Args:
        points: ``[P, max_points, 3]`` float32, unused slots 0.
        num_points: ``[P]`` integers.
    """
    slot, pillar = np.nonzero(np.arange(points.shape[1])[:, None] < num_points)
    mean = points.sum(axis=1, dtype=np.float64) / num_points[:, None]  # [P, 3]
    used = points[pillar, slot].astype(np.float64)  # [Q, 3]
    counts = np.bincount(slot, minlength=points.shape[1])
    features = np.concatenate([used, used - mean[pillar]], axis=1)
    return UsedSlots(features, pillar, tuple(counts.tolist()))


class PillarNet(jt.nn.Module):
    """The pillar feature net, shared by both polarities.

    Per slot a linear map 6 -> C, batch normalisation and ReLU; then a linear map over the first
    four slots to C features a pillar. The statistics cover unused slots too, as in the release; only
    used ones are computed.
    """

    def __init__(self, channels: int, max_points: int, batch_norm: str = "batch") -> None:
        super().__init__()
        self.max_points = max_points
        self.slots_read = min(SLOTS_READ, max_points)
        self.per_sample = batch_norm == "sample"
        self.point_conv = jt.nn.Conv(POINT_FEATURES, channels, 1)
        self.norm = BatchNorm(channels, eps=1e-3, momentum=0.01)
        self.slot_conv = jt.nn.Conv(channels, channels, (1, self.slots_read))

    def execute(self, positive: Pillars, negative: Pillars) -> tuple[Any, Any]:
        """Features of both polarities' pillars, ``[P+, C]`` and ``[P-, C]``.

        In training, one set of statistics covers both polarities and all frames, or, with
        ``batch_norm="sample"``, each frame and polarity has its own, as in the release.
        """
        both = (positive, negative)
        num_points = np.concatenate([pillars.num_points for pillars in both])
        used = used_slots(np.concatenate([pillars.points for pillars in both]), num_points)
        group = np.zeros(len(num_points), np.int64)
        if self.per_sample and self.is_training():
            sample = [2 * p.coords[:, 0] + k for k, p in enumerate(both)]
            group = np.unique(np.concatenate(sample), return_inverse=True)[1]
        centre, scale, shift = self._normalisation(used, num_points, group)  # [G, 6], [G, C] twice
        of_slot = group[used.pillar]
        weight = self.point_conv.weight.reshape((-1, POINT_FEATURES))  # [C, 6]
        inputs = _float32(used.features - centre[of_slot])  # [Q, 6]
        active = jt.matmul(inputs, weight.transpose(0, 1))
        active = jt.nn.relu(active * scale[_index(of_slot)] + shift[_index(of_slot)])  # [Q, C]
        zeros = jt.matmul(_float32(-centre), weight.transpose(0, 1))  # what an unused slot's map is
        unused = jt.nn.relu(zeros * scale + shift)[_index(group)]  # [P, C]
        features = self._read(active, unused, used, num_points)
        first = len(positive.num_points)
        return features[:first], features[first:]

    def _read(self, active: Any, unused: Any, used: UsedSlots, num_points: np.ndarray) -> Any:
        """The map over the slots: ``[P, C]`` from used slots ``[Q, C]`` and what unused ones come to."""
        weights = self.slot_conv.weight[:, :, 0].transpose((2, 1, 0))  # [slot, C in, C out]
        begins = np.concatenate([[0], np.cumsum(used.counts)]).tolist()
        features = jt.matmul(active[: begins[1]], weights[0]) + self.slot_conv.bias
        for s in range(1, self.slots_read):
            without = _float32(num_points <= s).reshape((-1, 1))
            features = features + without * jt.matmul(unused, weights[s])
            if used.counts[s]:
                rows = slice(begins[s], begins[s + 1])
                added = jt.matmul(active[rows], weights[s])
                place = _index(used.pillar[rows]).reshape((-1, 1)).expand(added.shape)
                features = features.scatter(0, place, added, reduce="add")
        return features

    def _normalisation(
        self, used: UsedSlots, num_points: np.ndarray, group: np.ndarray
    ) -> tuple[np.ndarray, Any, Any]:
        """The normalisation as a part of the map: ``scale * W (x − centre) + shift``.

        Args:
            used: the used slots of P pillars.
            num_points: ``[P]`` integers.
            group: ``[P]`` int64, whose statistics a pillar shares.

        Returns:
            ``centre`` float64 ``[G, 6]``, ``scale`` and ``shift`` ``[G, C]``.
        """
        norm = self.norm
        groups = int(group.max(initial=0)) + 1
        evaluated = norm.weight * jt.rsqrt(norm.running_var + norm.eps)  # [C]
        nothing = np.zeros((groups, POINT_FEATURES))
        running = evaluated * (self.point_conv.bias - norm.running_mean) + norm.bias
        if not self.is_training() or not len(num_points):
            ones = jt.ones((groups, 1))
            return nothing, ones * evaluated, ones * running
        mean, roots, values = _moments(used, group, groups, self.max_points)
        weight = self.point_conv.weight.reshape((-1, POINT_FEATURES))  # [C, 6]
        spread = jt.matmul(weight.unsqueeze(0), _float32(roots))  # [G, C, 6]
        var = spread.sqr().sum(dim=2)  # [G, C]
        own_mean = jt.matmul(_float32(mean), weight.transpose(0, 1)) + self.point_conv.bias
        for g in range(groups):
            if values[g] > 1:
                norm.count(own_mean[g], var[g] * float(values[g] / (values[g] - 1)))
        scale = norm.weight * jt.rsqrt(var + norm.eps)
        several = jt.array(values > 1).reshape((-1, 1)).expand(scale.shape)
        shift = jt.ternary(several, norm.bias + jt.zeros_like(scale), running + scale * 0)
        scale = jt.ternary(several, scale, evaluated + scale * 0)
        return np.where((values > 1)[:, None], mean, 0.0), scale, shift


def _moments(
    used: UsedSlots, group: np.ndarray, groups: int, max_points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moments of the inputs of all slots, used or not, of each group, in float64.

    Returns:
        The mean ``[G, 6]``; a root R of the covariance, so that ``|w R|²`` is the variance of a linear
        map w without a difference that could cancel, ``[G, 6, 6]``; the number of slots ``[G]``.
    """
    values = np.bincount(group, minlength=groups) * max_points
    of_slot = group[used.pillar]
    mean, roots = (
        np.zeros((groups, POINT_FEATURES)),
        np.zeros((groups, POINT_FEATURES, POINT_FEATURES)),
    )
    for g in range(groups):
        inputs = used.features[of_slot == g]
        mean[g] = inputs.sum(axis=0) / values[g]
        centred = inputs - mean[g]
        unused = values[g] - len(inputs)  # slots whose inputs are 0
        covariance = (centred.T @ centred + unused * np.outer(mean[g], mean[g])) / values[g]
        lengths, axes = np.linalg.eigh(covariance)
        roots[g] = axes * np.sqrt(lengths.clip(min=0))
    return mean, roots, values


def _float32(values: np.ndarray) -> Any:
    return jt.array(np.ascontiguousarray(values, np.float32))


def _index(values: np.ndarray) -> Any:
    return jt.array(np.ascontiguousarray(values, np.int32))
