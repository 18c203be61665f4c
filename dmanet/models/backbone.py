"""The residual backbone: canvas to features at strides 8, 16 and 32.

Like the usual residual networks, but the last stage is as wide as the third (4 stem widths).
"""

from torch import Tensor, nn
from torch.nn.functional import conv2d

from dmanet.models.normalization import BatchNorm
from dmanet.models.recomputation import recomputed

# oneDNN 3.12 (torch 2.13 and 2.14) writes past its buffer in the gradient of a 1x1 convolution with
# stride 2 on fewer channels than this in channels-last memory: on AVX2 whatever the size, elsewhere
# from some 64 pixels a side on. `python -m benchmarks.convolution_faults` tries every shape.
NARROW = 16


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; depths 18 and 34."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm1 = BatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = BatchNorm(width)
        self.shortcut = _shortcut(channels, width, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, h, w]`` to ``[N, width, h/stride, w/stride]``."""
        out = self.relu(self.norm1(self.conv1(x)))
        return self.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 to four times the width; depths 50, 101 and 152."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.norm1 = BatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.norm2 = BatchNorm(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.norm3 = BatchNorm(outputs)
        self.shortcut = _shortcut(channels, outputs, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, h, w]`` to ``[N, 4 * width, h/stride, w/stride]``."""
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.relu(self.norm2(self.conv2(out)))
        return self.relu(self.norm3(self.conv3(out)) + self.shortcut(x))


Block = type[BasicBlock] | type[Bottleneck]

# depth -> block, blocks in each of the four stages
STAGES: dict[int, tuple[Block, tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class Backbone(nn.Module):
    """Stem and four residual stages; ``channels`` holds the channels of the three outputs."""

    def __init__(self, depth: int, inputs: int, width: int) -> None:
        super().__init__()
        block, blocks = STAGES[depth]
        self.stem_conv = nn.Conv2d(inputs, width, 7, 2, 3, bias=False)
        self.stem_norm = BatchNorm(width)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, 1)
        widths = (width, 2 * width, 4 * width, 4 * width)
        outputs = [stage_width * block.expansion for stage_width in widths]
        self.stages = nn.ModuleList(
            _stage(block, count, channels, stage_width, stride)
            for count, channels, stage_width, stride in zip(
                blocks, [width, *outputs], widths, (1, 2, 2, 2), strict=False
            )
        )
        self.channels = (outputs[1], outputs[2], outputs[3])

    def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``[N, inputs, H, W]`` to ``x2, x3, x4`` at strides 8, 16, 32 (sizes rounded up)."""
        return self.features(self.stem(canvas))

    def stem(self, canvas: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, width, H/4, W/4]``."""
        x: Tensor = self.pool(self.relu(self.stem_norm(self.stem_conv(canvas))))
        return x

    def features(self, x: Tensor, recompute: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs of the last three stages.

        Args:
            x: ``[N, width, H/4, W/4]``, what the stem gives.
            recompute: whether what lies within a block is computed again in the backward pass.

        Returns:
            ``x2, x3, x4`` at strides 8, 16, 32.
        """
        outputs = []
        for stage in self.stages:
            assert isinstance(stage, nn.Sequential)
            for block in stage:
                x = recomputed(block, block, x) if recompute else block(x)
            outputs.append(x)
        _, x2, x3, x4 = outputs
        return x2, x3, x4


def _stage(block: Block, count: int, channels: int, width: int, stride: int) -> nn.Sequential:
    outputs = width * block.expansion
    rest = [block(outputs, width, 1) for _ in range(count - 1)]
    return nn.Sequential(block(channels, width, stride), *rest)


def _shortcut(channels: int, outputs: int, stride: int) -> nn.Module:
    if channels == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(_SkippingConv(channels, outputs, stride), BatchNorm(outputs))


class _SkippingConv(nn.Conv2d):
    """A 1x1 convolution that skips pixels. On narrow inputs it skips them before it multiplies."""

    def __init__(self, channels: int, outputs: int, stride: int) -> None:
        super().__init__(channels, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, h, w]`` to ``[N, outputs, h/stride, w/stride]``."""
        if self.in_channels >= NARROW:
            return super().forward(x)
        rows, columns = self.stride
        return conv2d(x[:, :, ::rows, ::columns], self.weight)
