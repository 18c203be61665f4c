"""The short memory: attention from each frame to the frame a step before it."""

from typing import Any

import numpy as np

from dmanet_jittor.framework import jt


class NonLocalAggregation(jt.nn.Module):
    """Adds to a feature what it attends to in the previous one; see :mod:`dmanet.models.non_local`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.theta = jt.nn.Conv(channels, inner, 1)
        self.phi = jt.nn.Conv(channels, inner, 1)
        self.g = jt.nn.Conv(channels, inner, 1)
        self.project = jt.nn.Conv(inner, channels, 1)
        self.pool = jt.nn.Pool(2, 2, ceil_mode=True, op="maximum")

    def execute(self, frames: Any, steps: int, previous: Any, reset: np.ndarray | None) -> Any:
        """Aggregate each frame with the frame a step before it.

        Args:
            frames: ``[T*B, C, h, w]``, step-major.
            steps: T.
            previous: ``[B, C, h, w]`` before the first step; None where all sequences begin.
            reset: ``[T, B]`` bool, True where a sequence begins anew; None for nowhere.

        Returns:
            ``[T*B, C, h, w]``; a sequence's first frame passes unchanged.
        """
        batch = frames.shape[0] // steps
        if previous is not None:
            before = jt.concat([previous, frames[:-batch]], dim=0) if steps > 1 else previous
            out = self.aggregate(frames, before)
        elif steps == 1:
            return frames
        else:
            aggregated = self.aggregate(frames[batch:], frames[:-batch])
            out = jt.concat([frames[:batch], aggregated], dim=0)
        if reset is None or not reset.any():
            return out
        anew = jt.array(reset.reshape(-1, 1, 1, 1)).expand(out.shape)
        return jt.ternary(anew, frames, out)

    def aggregate(self, current: Any, previous: Any) -> Any:
        """``[N, C, h, w]`` each: a feature with what it attends to in the previous one."""
        query = _rows(self.theta(current))  # [N, h*w, C/2]
        key = _rows(self.pool(self.phi(previous)))  # [N, h*w/4, C/2]
        value = _rows(self.pool(self.g(previous)))
        scores = jt.matmul(query, key.transpose(0, 2, 1)) * query.shape[2] ** -0.5
        attended = jt.matmul(jt.nn.softmax(scores, dim=2), value)
        attended = attended.transpose(0, 2, 1).reshape((current.shape[0], -1, *current.shape[2:]))
        return current + self.project(attended)


def _rows(x: Any) -> Any:
    """``[N, C, h, w]`` to cells, ``[N, h*w, C]``."""
    return x.reshape((x.shape[0], x.shape[1], -1)).transpose(0, 2, 1)
