"""The long memory: a ConvLSTM whose state fades where the scene has changed."""

from typing import Any

import numpy as np

from dmanet_jittor.framework import jt
from dmanet_jittor.models.layers import tanh


def unit_embedding(embedding: Any, eps: float) -> Any:
    """The embedding ``[N, C, h, w]`` at unit length; where it is shorter than ``eps``, fading to 0."""
    square = embedding.sqr().sum(dim=1, keepdims=True)
    return embedding * jt.rsqrt(square + eps * eps)


class ConvLSTM(jt.nn.Module):
    """A ConvLSTM over sequences; see :mod:`dmanet.models.adaptive_conv_lstm` for the equations."""

    def __init__(self, channels: int, adaptive: bool, similarity_eps: float) -> None:
        super().__init__()
        self.channels = channels
        self.similarity_eps = similarity_eps
        self.gates = jt.nn.Conv(2 * channels, 4 * channels, 3, padding=1)
        self.embed = None
        if adaptive:
            self.embed = jt.nn.Sequential(
                jt.nn.Conv(channels, channels, 3, padding=1),
                jt.nn.ReLU(),
                jt.nn.Conv(channels, channels, 3, padding=1),
                jt.nn.ReLU(),
            )

    def similarity(self, frames: Any, previous: Any, batch: int) -> Any:
        """Cosine similarity of the embeddings of each frame and the frame a step before it.

        Args:
            frames: ``[T*B, C, h, w]``.
            previous: ``[B, C, h, w]`` before the first step; None where the sequences begin.
            batch: B.

        Returns:
            ``[T*B, 1, h, w]``, without ``previous`` ``[(T-1)*B, 1, h, w]``; None where there is none.
        """
        if self.embed is None:
            return None
        known = frames if previous is None else jt.concat([previous, frames], dim=0)
        if known.shape[0] == batch:  # a single step with nothing before it
            return None
        unit = unit_embedding(self.embed(known), self.similarity_eps)
        return (unit[batch:] * unit[:-batch]).sum(dim=1, keepdims=True)

    def execute(
        self, frames: Any, steps: int, state: tuple[Any, Any, Any] | None, reset: np.ndarray | None
    ) -> tuple[Any, Any, Any]:
        """Run all steps.

        Args:
            frames: ``[T*B, C, h, w]``, step-major.
            steps: T.
            state: hidden, cell and previous frame before the first step, each ``[B, C, h, w]``.
            reset: ``[T, B]`` bool, True where a sequence begins anew; None for nowhere.

        Returns:
            The hidden states of all steps ``[T*B, C, h, w]``, and the last step's hidden state and cell.
        """
        batch = frames.shape[0] // steps
        weight_x = self.gates.weight[:, : self.channels]
        weight_h = self.gates.weight[:, self.channels :]
        from_input = jt.nn.conv2d(frames, weight_x, self.gates.bias, padding=1)  # [T*B, 4C, h, w]
        weights = self.similarity(frames, state[2] if state else None, batch)
        first = 0 if state else 1  # the step that the first weight belongs to
        hidden, cell = state[:2] if state else (None, None)
        outputs = []
        for t in range(steps):
            rows = slice(t * batch, (t + 1) * batch)
            x = frames[rows]
            if hidden is None:
                hidden, cell = x, jt.zeros_like(x)
            else:
                if weights is not None:
                    weight = weights[(t - first) * batch : (t - first + 1) * batch]
                    hidden, cell = hidden * weight, cell * weight
                if reset is not None and reset[t].any():
                    anew = jt.array(reset[t].reshape(batch, 1, 1, 1)).expand(x.shape)
                    hidden, cell = (
                        jt.ternary(anew, x, hidden),
                        jt.ternary(anew, jt.zeros_like(x), cell),
                    )
            gates = from_input[rows] + jt.nn.conv2d(hidden, weight_h, padding=1)
            i, f, o, g = gates.chunk(4, dim=1)
            cell = jt.sigmoid(f) * cell + jt.sigmoid(i) * tanh(g)
            hidden = jt.sigmoid(o) * tanh(cell)
            outputs.append(hidden)
        return jt.concat(outputs, dim=0), hidden, cell
