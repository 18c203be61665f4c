"""Pyramids at strides 8 to 128: the feature pyramid of both paths, and the temporal branch."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from dmanet.models.normalization import BatchNorm


class FeaturePyramid(nn.Module):
    """Levels 3 to 5 top-down, 6 and 7 from the coarsest backbone feature, all ``size`` channels."""

    def __init__(self, channels: Sequence[int], size: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, size, 1) for c in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(size, size, 3, padding=1) for _ in channels)
        self.p6 = nn.Conv2d(channels[-1], size, 3, 2, 1) if 6 in levels else None
        self.p7 = nn.Conv2d(size, size, 3, 2, 1) if 7 in levels else None

    def forward(self, *paths: Sequence[Tensor]) -> list[Tensor]:
        """The sum of the pyramids of several paths.

        Up to level 6 a pyramid is affine in its inputs, so the sum of ``n`` of them is one pyramid
        of the summed inputs with ``n`` times the biases: one pass, however many paths there are.

        Args:
            paths: for each path its features at strides 8, 16, 32, each ``[N, C, h, w]``.

        Returns:
            One ``[N, size, h, w]`` for each level, finest first.
        """
        n = len(paths)
        inputs = [sum(features[1:], features[0]) for features in zip(*paths, strict=True)]
        merged: list[Tensor] = []  # coarsest first
        for conv, feature in zip(reversed(self.lateral), reversed(inputs), strict=True):
            lateral = _conv(conv, feature, n)
            if merged:
                # To the lateral's size: where that is odd, twice the coarser one is a cell more.
                lateral = lateral + F.interpolate(merged[-1], size=lateral.shape[2:])
            merged.append(lateral)
        outputs = [
            _conv(conv, feature, n)
            for conv, feature in zip(self.smooth, reversed(merged), strict=True)
        ]
        if self.p6 is not None:
            sixth = [self.p6(features[-1]) for features in paths]
            outputs.append(sum(sixth[1:], sixth[0]))
            if self.p7 is not None:
                seventh = [self.p7(feature.relu()) for feature in sixth]
                outputs.append(sum(seventh[1:], seventh[0]))
        return outputs


class TemporalBranch(nn.Module):
    """The long memory's hidden states at every pyramid level.

    Levels 3 to 5 are normalised hidden states (through a 1x1 convolution where their channels are
    not ``size``); each further level is a normalised 3x3 convolution, stride 2, of the one before.
    """

    def __init__(self, channels: Sequence[int], size: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Identity() if c == size else nn.Conv2d(c, size, 1) for c in channels
        )
        self.convs.extend(nn.Conv2d(size, size, 3, 2, 1) for level in levels if level > 5)
        self.norms = nn.ModuleList(BatchNorm(size) for _ in self.convs)

    def forward(self, hidden: Sequence[Tensor]) -> list[Tensor]:
        """The branch's features.

        Args:
            hidden: hidden states at strides 8, 16, 32, each ``[N, C, h, w]``.

        Returns:
            One ``[N, size, h, w]`` for each level, finest first.
        """
        outputs: list[Tensor] = []
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            feature = hidden[i] if i < len(hidden) else outputs[-1]
            outputs.append(norm(conv(feature)))
        return outputs


def _conv(module: nn.Module, x: Tensor, paths: int) -> Tensor:
    """The sum of ``paths`` convolutions, given the sum of their inputs."""
    assert isinstance(module, nn.Conv2d)
    assert module.bias is not None
    bias = module.bias if paths == 1 else module.bias * paths
    return F.conv2d(x, module.weight, bias, module.stride, module.padding)
