"""Pyramids at strides 8 to 128: the feature pyramid of both paths, and the temporal branch."""

from collections.abc import Sequence
from typing import Any

from dmanet_jittor.framework import jt
from dmanet_jittor.models.layers import BatchNorm


class FeaturePyramid(jt.nn.Module):
    """Levels 3 to 5 top-down, 6 and 7 from the coarsest backbone feature, all ``size`` channels."""

    def __init__(self, channels: Sequence[int], size: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.lateral = jt.nn.ModuleList([jt.nn.Conv(c, size, 1) for c in channels])
        self.smooth = jt.nn.ModuleList([jt.nn.Conv(size, size, 3, padding=1) for _ in channels])
        self.p6 = jt.nn.Conv(channels[-1], size, 3, 2, 1) if 6 in levels else None
        self.p7 = jt.nn.Conv(size, size, 3, 2, 1) if 7 in levels else None

    def execute(self, *paths: Sequence[Any]) -> list[Any]:
        """The sum of the pyramids of several paths.

        Up to level 6 a pyramid is affine in its inputs: one pass of the summed inputs with ``n`` times
        the biases, however many paths there are.

        Args:
            paths: for each path its features at strides 8, 16, 32, each ``[N, C, h, w]``.

        Returns:
            One ``[N, size, h, w]`` for each level, finest first.
        """
        n = len(paths)
        inputs = [sum(features[1:], features[0]) for features in zip(*paths, strict=True)]
        merged: list[Any] = []  # coarsest first
        for conv, feature in zip(list(self.lateral)[::-1], inputs[::-1], strict=True):
            lateral = _conv(conv, feature, n)
            if merged:
                size = tuple(lateral.shape[2:])
                lateral = lateral + jt.nn.interpolate(merged[-1], size=size, mode="nearest")
            merged.append(lateral)
        outputs = [
            _conv(conv, feature, n)
            for conv, feature in zip(list(self.smooth), merged[::-1], strict=True)
        ]
        if self.p6 is not None:
            sixth = [self.p6(features[-1]) for features in paths]
            outputs.append(sum(sixth[1:], sixth[0]))
            if self.p7 is not None:
                seventh = [self.p7(jt.nn.relu(feature)) for feature in sixth]
                outputs.append(sum(seventh[1:], seventh[0]))
        return outputs


class TemporalBranch(jt.nn.Module):
    """The long memory's hidden states at every pyramid level; see :mod:`dmanet.models.fpn`."""

    def __init__(self, channels: Sequence[int], size: int, levels: Sequence[int]) -> None:
        super().__init__()
        convs = [jt.nn.Identity() if c == size else jt.nn.Conv(c, size, 1) for c in channels]
        convs += [jt.nn.Conv(size, size, 3, 2, 1) for level in levels if level > 5]
        self.convs = jt.nn.ModuleList(convs)
        self.norms = jt.nn.ModuleList([BatchNorm(size) for _ in convs])

    def execute(self, hidden: Sequence[Any]) -> list[Any]:
        """Hidden states at strides 8, 16, 32 to one ``[N, size, h, w]`` for each level, finest first."""
        outputs: list[Any] = []
        for i, (conv, norm) in enumerate(zip(list(self.convs), list(self.norms), strict=True)):
            feature = hidden[i] if i < len(hidden) else outputs[-1]
            outputs.append(norm(conv(feature)))
        return outputs


def _conv(module: Any, x: Any, paths: int) -> Any:
    """The sum of ``paths`` convolutions, given the sum of their inputs."""
    return jt.nn.conv2d(x, module.weight, module.bias * paths, module.stride, module.padding)
