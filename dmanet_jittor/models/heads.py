"""Detection heads, shared over the pyramid's levels."""

from collections.abc import Sequence
from typing import Any

from dmanet_jittor.framework import jt


class Head(jt.nn.Module):
    """3x3 convolutions with ReLU, then one to ``values`` for each anchor of a cell."""

    def __init__(self, channels: int, convs: int, anchors: int, values: int) -> None:
        super().__init__()
        self.values = values
        layers = [jt.nn.Conv(channels, channels, 3, padding=1) for _ in range(convs)]
        self.convs = jt.nn.ModuleList(layers)
        self.output = jt.nn.Conv(channels, anchors * values, 3, padding=1)

    def execute(self, pyramid: Sequence[Any]) -> Any:
        """``[N, C, h, w]`` of each level to ``[N, A, values]``, in the order of the anchors."""
        return jt.concat([self._level(feature) for feature in pyramid], dim=1)

    def _level(self, x: Any) -> Any:
        for conv in self.convs:
            x = jt.nn.relu(conv(x))
        return self.output(x).permute(0, 2, 3, 1).reshape((x.shape[0], -1, self.values))
