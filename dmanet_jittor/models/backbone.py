"""The residual backbone: canvas to features at strides 8, 16, 32; see :mod:`dmanet.models.backbone`."""

from typing import Any

from dmanet_jittor.framework import jt
from dmanet_jittor.models.layers import BatchNorm

#: Depth to the blocks of each of the four stages; deeper ones are in torch alone.
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class BasicBlock(jt.nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = jt.nn.Conv(channels, width, 3, stride, 1, bias=False)
        self.norm1 = BatchNorm(width)
        self.conv2 = jt.nn.Conv(width, width, 3, 1, 1, bias=False)
        self.norm2 = BatchNorm(width)
        self.shortcut = None
        if channels != width or stride != 1:
            self.shortcut = jt.nn.Sequential(
                jt.nn.Conv(channels, width, 1, stride, bias=False), BatchNorm(width)
            )

    def execute(self, x: Any) -> Any:
        """``[N, channels, h, w]`` to ``[N, width, h/stride, w/stride]``."""
        out = jt.nn.relu(self.norm1(self.conv1(x)))
        beside = x if self.shortcut is None else self.shortcut(x)
        return jt.nn.relu(self.norm2(self.conv2(out)) + beside)


class Backbone(jt.nn.Module):
    """Stem and four residual stages; ``channels`` holds the channels of the three outputs."""

    def __init__(self, depth: int, inputs: int, width: int) -> None:
        super().__init__()
        self.stem_conv = jt.nn.Conv(inputs, width, 7, 2, 3, bias=False)
        self.stem_norm = BatchNorm(width)
        self.pool = jt.nn.Pool(3, 2, 1, op="maximum")
        widths = (width, 2 * width, 4 * width, 4 * width)
        stages = []
        channels = width
        for blocks, stage_width, stride in zip(STAGES[depth], widths, (1, 2, 2, 2), strict=True):
            first = BasicBlock(channels, stage_width, stride)
            rest = [BasicBlock(stage_width, stage_width, 1) for _ in range(blocks - 1)]
            stages.append(jt.nn.Sequential(first, *rest))
            channels = stage_width
        self.stages = jt.nn.ModuleList(stages)
        self.channels = widths[1:]

    def execute(self, canvas: Any) -> list[Any]:
        """``[N, inputs, H, W]`` to ``x2, x3, x4`` at strides 8, 16, 32 (sizes rounded up)."""
        x = self.pool(jt.nn.relu(self.stem_norm(self.stem_conv(canvas))))
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs[1:]
