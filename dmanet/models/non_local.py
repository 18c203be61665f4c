"""The short memory: attention from each frame to the frame a step before it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class NonLocalAggregation(nn.Module):
    """Adds to a feature what it attends to in the previous one.

    ``softmax(theta(cur) phi(prev) / sqrt(C/2)) g(prev)``, projected back to C channels and added to
    the current feature; ``phi`` and ``g`` are pooled 2x2 (an odd last row or column counts).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.project = nn.Conv2d(inner, channels, 1)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)

    def begin_with_the_current(self) -> None:
        """Set the projection to 0, so that features pass unchanged until it has learned otherwise."""
        assert self.project.bias is not None
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(
        self, frames: Tensor, steps: int, previous: Tensor | None, reset: Tensor | None
    ) -> Tensor:
        """Aggregate each frame with the frame a step before it, all frames at once.

        Args:
            frames: ``[T*B, C, h, w]``, step-major.
            steps: T.
            previous: ``[B, C, h, w]`` before the first step; None where all sequences begin.
            reset: ``[T, B]`` bool, True where a sequence begins anew; None for nowhere.

        Returns:
            ``[T*B, C, h, w]``; a sequence's first frame passes unchanged.
        """
        batch = len(frames) // steps
        if previous is not None:
            before = torch.cat([previous.to(frames.dtype), frames[:-batch]])
            out = self.aggregate(frames, before)
        elif steps == 1:
            return frames
        else:
            out = torch.cat([frames[:batch], self.aggregate(frames[batch:], frames[:-batch])])
        return out if reset is None else torch.where(reset.view(-1, 1, 1, 1), frames, out)

    def aggregate(self, current: Tensor, previous: Tensor) -> Tensor:
        """A feature with what it attends to in the previous one.

        Args:
            current: ``[N, C, h, w]``.
            previous: ``[N, C, h, w]``, of the same sequences a step before.

        Returns:
            ``[N, C, h, w]``.
        """
        query = _rows(self.theta(current))  # [N, 1, h*w, C/2]
        key = _rows(self.pool(self.phi(previous)))  # [N, 1, h*w/4, C/2]
        value = _rows(self.pool(self.g(previous)))
        # Scales by 1/sqrt(C/2), and takes the softmax in float32 for 16-bit inputs too.
        attended = F.scaled_dot_product_attention(query, key, value)
        attended = attended.squeeze(1).transpose(1, 2).unflatten(2, current.shape[2:])
        return current + self.project(attended)


def _rows(x: Tensor) -> Tensor:
    """``[N, C, h, w]`` to one attention head of cells, ``[N, 1, h*w, C]``."""
    return x.flatten(2).transpose(1, 2).unsqueeze(1)
