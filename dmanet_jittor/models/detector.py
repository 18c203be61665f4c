"""DMANet in Jittor: pillars of many frames to logits and deltas; see :mod:`dmanet.models.detector`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmanet.settings import ModelSettings
from dmanet_jittor.framework import jt
from dmanet_jittor.models.adaptive_conv_lstm import ConvLSTM
from dmanet_jittor.models.backbone import STAGES, Backbone
from dmanet_jittor.models.canvas import scatter_to_canvas
from dmanet_jittor.models.fpn import FeaturePyramid, TemporalBranch
from dmanet_jittor.models.heads import Head
from dmanet_jittor.models.non_local import NonLocalAggregation
from dmanet_jittor.models.pillar_net import PillarNet, Pillars
from pipeline.errors import UsageError


@dataclass(frozen=True)
class LevelState:
    """What one recurrent level remembers, each ``[B, C, h, w]``; see :mod:`dmanet.models.detector`."""

    hidden: Any
    cell: Any
    feature: Any


State = tuple[LevelState, ...]  # one for each recurrent level, strides 8, 16, 32


@dataclass(frozen=True)
class HeadOutput:
    """What the heads say about every anchor: ``logits [T*B, A, classes]``, ``deltas [T*B, A, 4]``."""

    logits: Any
    deltas: Any


class DMANet(jt.nn.Module):
    """The detector of ``settings``, freshly made; weights are set by who made it.

    Raises:
        UsageError: its depth is one that is in torch alone.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        if settings.depth not in STAGES:
            raise UsageError(
                f"depth {settings.depth}: in Jittor there are {', '.join(map(str, STAGES))}; use one "
                "of them, or PyTorch."
            )
        if settings.long_memory == "hold" or settings.first_hidden != "released":
            raise UsageError(
                "long_memory hold and first_hidden zero are in PyTorch alone; use long_memory adaptive, "
                "plain or none, and first_hidden released."
            )
        self.settings = settings
        size, levels = settings.feature_size, settings.anchors.levels
        self.pillar_net = PillarNet(
            settings.pillar_channels, settings.max_points, settings.pillar_batch_norm
        )
        self.backbone = Backbone(settings.depth, 2 * settings.pillar_channels, settings.stem_width)
        channels = self.backbone.channels
        self.long_memory: Any = None
        self.temporal_branch: Any = None
        self.short_memory: Any = None
        if settings.long_memory != "none":
            adaptive = settings.long_memory == "adaptive"
            self.long_memory = jt.nn.ModuleList(
                [ConvLSTM(c, adaptive, settings.similarity_eps) for c in channels]
            )
            self.temporal_branch = TemporalBranch(channels, size, levels)
        if settings.short_memory:
            self.short_memory = jt.nn.ModuleList([NonLocalAggregation(c) for c in channels])
        self.pyramid = FeaturePyramid(channels, size, levels)
        per_cell = settings.anchors.per_cell
        self.class_head = Head(size, settings.head_convs, per_cell, settings.num_classes)
        self.box_head = Head(size, settings.head_convs, per_cell, 4)

    def execute(
        self,
        positive: Pillars,
        negative: Pillars,
        steps: int,
        batch: int,
        state: State | None = None,
        reset: np.ndarray | None = None,
    ) -> tuple[HeadOutput, State]:
        """Detect in ``steps * batch`` frames.

        Args:
            positive: pillars of the positive events of all frames.
            negative: pillars of the negative events of all frames.
            steps: time steps T.
            batch: sequences B.
            state: what was returned for the steps just before; None where all sequences begin.
            reset: ``[T, B]`` bool, True where a sequence begins anew; None for nowhere.

        Returns:
            The heads' outputs for all frames, and the state after the last step.
        """
        canvas = scatter_to_canvas(
            self.pillar_net(positive, negative),
            (positive.coords, negative.coords),
            steps * batch,
            self.settings.grid_size,
        )
        features = self.backbone(canvas)
        if state is not None and reset is not None and reset[0].any():
            state = tuple(_forget(level, reset[0]) for level in state)
        short = self._short_path(features, steps, state, reset)
        if self.long_memory is None:
            nothing = [jt.zeros((batch, 0, *x.shape[2:])) for x in features]
            hidden, cell = nothing, nothing
            pyramid = self.pyramid(short)
        else:
            long, hidden, cell = self._long_path(features, steps, state, reset)
            both = self.pyramid(short, long)
            pyramid = [a + b for a, b in zip(both, self.temporal_branch(long), strict=True)]
        output = HeadOutput(self.class_head(pyramid), self.box_head(pyramid))
        return output, tuple(
            LevelState(h, c, x[-batch:]) for h, c, x in zip(hidden, cell, features, strict=True)
        )

    def _short_path(
        self, features: Sequence[Any], steps: int, state: State | None, reset: np.ndarray | None
    ) -> Sequence[Any]:
        if self.short_memory is None:
            return features
        return [
            module(x, steps, state[i].feature if state else None, reset)
            for i, (module, x) in enumerate(zip(list(self.short_memory), features, strict=True))
        ]

    def _long_path(
        self, features: Sequence[Any], steps: int, state: State | None, reset: np.ndarray | None
    ) -> tuple[list[Any], list[Any], list[Any]]:
        before = [(s.hidden, s.cell, s.feature) for s in state] if state else [None] * len(features)
        results = [
            module(x, steps, level, reset)
            for module, x, level in zip(list(self.long_memory), features, before, strict=True)
        ]
        outputs, hidden, cell = zip(*results, strict=True)
        return list(outputs), list(hidden), list(cell)


def _forget(state: LevelState, reset: np.ndarray) -> LevelState:
    """Zeros where a sequence begins anew, so that not even a NaN survives a reset."""
    anew = jt.array(reset.reshape(-1, 1, 1, 1))
    return LevelState(
        *(
            jt.ternary(anew.expand(x.shape), jt.zeros_like(x), x) if x.shape[1] else x
            for x in (state.hidden, state.cell, state.feature)
        )
    )
