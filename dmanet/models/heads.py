"""Detection heads, shared over the pyramid's levels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """3x3 convolutions with ReLU, then one to ``values`` for each anchor of a cell.

    Serves for both heads: class logits (``values`` = classes) and box deltas (``values`` = 4).
    """

    def __init__(self, channels: int, convs: int, anchors: int, values: int) -> None:
        super().__init__()
        self.values = values
        layers = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(convs))
        self.convs = nn.ModuleList(layers)
        self.output = nn.Conv2d(channels, anchors * values, 3, padding=1)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """What the head says about every anchor.

        Args:
            pyramid: ``[N, C, h, w]`` of each level, finest first.

        Returns:
            ``[N, A, values]``; A runs over levels, then y, x and anchor, the order of the anchors.
        """
        return torch.cat([self._level(feature) for feature in pyramid], dim=1)

    def _level(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(x).relu_()
        out: Tensor = self.output(x)  # [N, anchors * values, h, w]
        return out.permute(0, 2, 3, 1).reshape(len(out), -1, self.values)
