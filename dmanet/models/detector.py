"""DMANet: pillars of many frames to class logits and box deltas, with two memories over time.

Wang et al., "Dual Memory Aggregation Network for Event-Based Object Detection with Learnable
Representation", AAAI 2023. T time steps and B sequences make T*B frames, step-major. Everything
that is not recurrent runs once over all of them; the state is an argument and a result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dmanet.models.adaptive_conv_lstm import ConvLSTM
from dmanet.models.backbone import Backbone
from dmanet.models.canvas import scatter_to_canvas
from dmanet.models.fpn import FeaturePyramid, TemporalBranch
from dmanet.models.heads import Head
from dmanet.models.hold_memory import HoldMemory
from dmanet.models.initialization import (
    initialize_convolutions,
    initialize_gates,
    initialize_heads,
)
from dmanet.models.non_local import NonLocalAggregation
from dmanet.models.pillar_net import PillarNet, Pillars
from dmanet.models.recomputation import recomputed
from dmanet.regions import region
from dmanet.settings import ModelSettings


@dataclass(frozen=True)
class LevelState:
    """What one recurrent level remembers, each ``[B, C, h, w]``.

    Attributes:
        hidden: hidden state of the ConvLSTM, or what is held; 0 channels without a long memory.
        cell: cell of the ConvLSTM; 0 channels where the network has none.
        feature: the last step's backbone feature, which both memories compare with.
    """

    hidden: Tensor
    cell: Tensor
    feature: Tensor

    def detach(self) -> "LevelState":
        """The same values, cut from the graph."""
        return LevelState(self.hidden.detach(), self.cell.detach(), self.feature.detach())


State = tuple[LevelState, ...]  # one for each recurrent level, strides 8, 16, 32


@dataclass(frozen=True)
class HeadOutput:
    """What the heads say about every anchor of every frame.

    Attributes:
        logits: ``[T*B, A, classes]``.
        deltas: ``[T*B, A, 4]``.
    """

    logits: Tensor
    deltas: Tensor


class DMANet(nn.Module):
    """The detector of ``settings``, freshly initialised.

    Attributes:
        settings: its architecture.
        checkpoint_activations: whether training keeps only what passes between the parts of the
            network and computes the rest again in the backward pass: less memory, a third more work,
            the same loss, gradients and statistics.
    """

    def __init__(self, settings: ModelSettings, *, checkpoint_activations: bool = False) -> None:
        super().__init__()
        self.settings = settings
        self.checkpoint_activations = checkpoint_activations
        size, levels = settings.feature_size, settings.anchors.levels
        self.pillar_net = PillarNet(
            settings.pillar_channels, settings.max_points, settings.pillar_batch_norm
        )
        self.backbone = Backbone(
            settings.depth, inputs=2 * settings.pillar_channels, width=settings.stem_width
        )
        channels = self.backbone.channels
        self.long_memory: nn.ModuleList | None = None
        self.temporal_branch: TemporalBranch | None = None
        self.short_memory: nn.ModuleList | None = None
        self.hold_memory: nn.ModuleList | None = None
        if settings.long_memory == "hold":
            self.hold_memory = nn.ModuleList(HoldMemory(c) for c in channels)
        elif settings.long_memory != "none":
            adaptive = settings.long_memory == "adaptive"
            zero_first = settings.first_hidden == "zero"
            self.long_memory = nn.ModuleList(
                ConvLSTM(c, adaptive, settings.similarity_eps, zero_first=zero_first)
                for c in channels
            )
            self.temporal_branch = TemporalBranch(channels, size, levels)
        if settings.short_memory:
            self.short_memory = nn.ModuleList(NonLocalAggregation(c) for c in channels)
        self.pyramid = FeaturePyramid(channels, size, levels)
        per_cell = settings.anchors.per_cell
        self.class_head = Head(size, settings.head_convs, per_cell, settings.num_classes)
        self.box_head = Head(size, settings.head_convs, per_cell, 4)
        initialize_convolutions(self)
        self._initialize_memories()
        initialize_heads(self.class_head, self.box_head)

    def forward(
        self,
        positive: Pillars,
        negative: Pillars,
        steps: int,
        batch: int,
        state: State | None = None,
        reset: Tensor | None = None,
    ) -> tuple[HeadOutput, State]:
        """Detect in ``steps * batch`` frames.

        Args:
            positive: pillars of the positive events of all frames.
            negative: pillars of the negative events of all frames.
            steps: time steps T.
            batch: sequences B.
            state: what was returned for the steps just before; None where all sequences begin.
            reset: ``[T, B]`` bool, True where a sequence begins anew; None for nowhere but the
                beginning. There both memories forget whatever came before.

        Returns:
            The heads' outputs for all frames, and the state after the last step (part of the
            graph: detach it to stop gradients there).
        """
        frames = steps * batch
        stem = self._run(self._stem, self, positive, negative, frames)
        with region("backbone"):
            features = self.backbone.features(stem, self.checkpoint_activations)
        with region("memories"):
            if state is not None and reset is not None:
                state = tuple(_forget(level, reset[0]) for level in state)
            short = self._short_path(features, steps, state, reset)
            nothing = [x.new_zeros((batch, 0, *x.shape[2:])) for x in features]
            long, hidden, cell = None, nothing, nothing
            if self.long_memory is not None:
                long, hidden, cell = self._long_path(features, steps, state, reset)
            elif self.hold_memory is not None:
                short, hidden = self._held(short, steps, state, reset)
        with region("pyramid and heads"):
            if long is None:
                pyramid = self._run(self.pyramid, self.pyramid, short)
            else:
                pyramid = self._run(self._both_pyramids, self, short, long)
            output = HeadOutput(
                self._run(self.class_head, self.class_head, pyramid),
                self._run(self.box_head, self.box_head, pyramid),
            )
        return output, tuple(
            LevelState(h, c, x[-batch:]) for h, c, x in zip(hidden, cell, features, strict=True)
        )

    def _initialize_memories(self) -> None:
        """What the settings ask for beyond the drawn weights, which are drawn all the same.

        So networks of one seed that differ in these settings begin with the same weights elsewhere.
        """
        settings = self.settings
        for module in self.modules():
            if isinstance(module, HoldMemory):
                module.begin_with_the_newest()
            elif isinstance(module, ConvLSTM):
                takes_the_feature = settings.candidate_init == "feature"
                initialize_gates(module.gates, settings.forget_bias, takes_the_feature)
            elif isinstance(module, NonLocalAggregation) and settings.short_memory_init == "zero":
                module.begin_with_the_current()

    def canvas(self, positive: Pillars, negative: Pillars, frames: int) -> Tensor:
        """Both polarities' pillar features, ``[frames, 2 * pillar_channels, H, W]``.

        In channels-last memory if the network's weights are.
        """
        canvas = scatter_to_canvas(
            self.pillar_net(positive, negative),
            (positive.coords, negative.coords),
            frames,
            self.settings.grid_size,
        )
        stem = self.backbone.stem_conv.weight
        if stem.is_contiguous(memory_format=torch.channels_last):
            return canvas
        return canvas.contiguous()

    def _run(self, function: Callable[..., Any], owner: nn.Module, *arguments: Any) -> Any:
        """A part of the network, ``owner`` or one of its methods, as ``checkpoint_activations`` says."""
        if self.checkpoint_activations:
            return recomputed(function, owner, *arguments)
        return function(*arguments)

    def _stem(self, positive: Pillars, negative: Pillars, frames: int) -> Tensor:
        with region("pillar net and canvas"):
            canvas = self.canvas(positive, negative, frames)
        with region("backbone"):
            return self.backbone.stem(canvas)

    def _both_pyramids(self, short: Sequence[Tensor], long: Sequence[Tensor]) -> list[Tensor]:
        """The feature pyramids of both paths and the temporal branch, summed."""
        assert self.temporal_branch is not None
        return [
            both + temporal
            for both, temporal in zip(
                self.pyramid(short, long), self.temporal_branch(long), strict=True
            )
        ]

    def _short_path(
        self, features: Sequence[Tensor], steps: int, state: State | None, reset: Tensor | None
    ) -> Sequence[Tensor]:
        if self.short_memory is None:
            return features
        return [
            self._run(module, module, x, steps, state[i].feature if state else None, reset)
            for i, (module, x) in enumerate(zip(self.short_memory, features, strict=True))
        ]

    def _long_path(
        self, features: Sequence[Tensor], steps: int, state: State | None, reset: Tensor | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        assert self.long_memory is not None
        before = [(s.hidden, s.cell, s.feature) for s in state] if state else [None] * len(features)
        results = [
            self._run(module, module, x, steps, level, reset)
            for module, x, level in zip(self.long_memory, features, before, strict=True)
        ]
        outputs, hidden, cell = zip(*results, strict=True)
        return list(outputs), list(hidden), list(cell)

    def _held(
        self, features: Sequence[Tensor], steps: int, state: State | None, reset: Tensor | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What is held of the features at each step, and after the last one."""
        assert self.hold_memory is not None
        batch = len(features[0]) // steps
        held = [
            self._run(module, module, x, steps, state[i].hidden if state else None, reset)
            for i, (module, x) in enumerate(zip(self.hold_memory, features, strict=True))
        ]
        return held, [level[-batch:] for level in held]


def _forget(state: LevelState, reset: Tensor) -> LevelState:
    """Zeros where a sequence begins anew, so that not even a NaN survives a reset."""
    anew = reset.view(-1, 1, 1, 1)
    return LevelState(
        state.hidden.masked_fill(anew, 0),
        state.cell.masked_fill(anew, 0),
        state.feature.masked_fill(anew, 0),
    )
