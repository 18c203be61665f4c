"""A memory that holds features: each step mixes what it sees into what is held, cell by cell.

It is not DMANet's: it stands in for the long memory where objects rest and give no events, which a
ConvLSTM reads out poorly.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FIRST_BIAS = 2.0  # of the gate: at first 88 % of what is held is the newest feature


class HoldMemory(nn.Module):
    """A gated mean of a sequence's features, which stands in their place.

    With ``m`` what is held::

        z = sigmoid(conv3x3([x, m]))
        m' = m + z (x - m)

    Where a sequence begins, ``m' = x``. A mixture of features keeps their scale, so that whatever reads
    features reads ``m`` as well, and nothing can grow over the steps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.gate = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def begin_with_the_newest(self) -> None:
        """Set the gate's first weights: nothing but a bias, which holds little."""
        assert self.gate.bias is not None
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, FIRST_BIAS)

    def forward(
        self, frames: Tensor, steps: int, held: Tensor | None, reset: Tensor | None
    ) -> Tensor:
        """Run all steps.

        Args:
            frames: ``[T*B, C, h, w]``, step-major.
            steps: T.
            held: ``[B, C, h, w]`` before the first step; None where all sequences begin.
            reset: ``[T, B]`` bool, True where a sequence begins anew; None for nowhere.

        Returns:
            What is held after each step, ``[T*B, C, h, w]``; float32 also under autocast.
        """
        batch = len(frames) // steps
        weight_x, weight_m = self.gate.weight.split(self.channels, dim=1)
        from_input = F.conv2d(frames, weight_x, self.gate.bias, padding=1)  # [T*B, C, h, w]
        outputs = []
        for t, (x, gate) in enumerate(
            zip(frames.float().split(batch), from_input.split(batch), strict=True)
        ):
            if held is None:
                held = x
            else:
                # In float32: of a small share of a 16-bit number nothing may be left.
                share = (gate + F.conv2d(held, weight_m, padding=1)).float().sigmoid()
                mixed = held + share * (x - held)
                held = mixed if reset is None else torch.where(reset[t].view(-1, 1, 1, 1), x, mixed)
            outputs.append(held)
        return torch.cat(outputs)
