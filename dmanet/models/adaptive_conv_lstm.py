"""The long memory: a ConvLSTM whose state fades where the scene has changed.

Everything but the recurrence itself runs once over all frames of a batch: the embeddings (each
frame's serves as the current one and, a step later, as the previous one), the similarity weights
and the input's share of the gates.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def unit_embedding(embedding: Tensor, eps: float) -> Tensor:
    """The embedding at unit length where it is longer than ``eps``, fading to 0 below.

    ``e * rsqrt(|e|^2 + eps^2)`` in float32, whatever the input's dtype. Its derivative is at most
    ``1 / eps``, and it agrees with the release's ``e / (|e| + 1e-6)`` within
    ``(eps / |e|)^2 / 2 + 1e-6 / |e|`` relative. The release's derivative reaches ``1e6`` at
    ``|e| = 0``, which quiet regions have, and its quotient overflows float16.

    Args:
        embedding: ``[N, C, h, w]``.
        eps: length below which it fades.

    Returns:
        ``[N, C, h, w]`` float32.
    """
    embedding = embedding.float()
    square = embedding.square().sum(dim=1, keepdim=True)
    return embedding * torch.rsqrt(square + eps * eps)


class ConvLSTM(nn.Module):
    """A ConvLSTM over sequences; ``adaptive`` weights its state by the similarity of frames.

    With ``e`` the embedding, ``w`` the cosine similarity of ``e(x)`` and ``e(previous x)`` at each
    cell (1 if not adaptive), ``h~ = w h`` and ``c~ = w c``::

        i, f, o, g = conv3x3([x, h~])
        c' = sigmoid(f) c~ + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(c')

    Where a sequence begins, ``h~ = x`` and ``c~ = 0``, as in the release; with ``zero_first`` both
    are 0.
    """

    def __init__(
        self, channels: int, adaptive: bool, similarity_eps: float, *, zero_first: bool = False
    ) -> None:
        super().__init__()
        self.channels = channels
        self.similarity_eps = similarity_eps
        self.zero_first = zero_first
        self.gates = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1)
        self.embed: nn.Sequential | None = None
        if adaptive:
            self.embed = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.ReLU(inplace=True),
            )

    def first_hidden(self, x: Tensor) -> Tensor:
        """What the gates read as hidden state where a sequence begins with ``x``; float32."""
        return torch.zeros_like(x, dtype=torch.float32) if self.zero_first else x.float()

    def similarity(self, frames: Tensor, previous: Tensor | None, batch: int) -> Tensor | None:
        """Cosine similarity of the embeddings of each frame and the frame a step before it.

        Args:
            frames: ``[T*B, C, h, w]``.
            previous: ``[B, C, h, w]`` before the first step; None where the sequences begin.
            batch: B.

        Returns:
            ``[T*B, 1, h, w]`` float32 in 0...1, or None if not adaptive. Without ``previous`` the
            first step's are missing: ``[(T-1)*B, 1, h, w]``.
        """
        if self.embed is None:
            return None
        known = frames if previous is None else torch.cat([previous.to(frames.dtype), frames])
        if len(known) == batch:  # a single step with nothing before it
            return frames.new_zeros((0, 1, *frames.shape[2:]), dtype=torch.float32)
        unit = unit_embedding(self.embed(known), self.similarity_eps)
        return (unit[batch:] * unit[:-batch]).sum(dim=1, keepdim=True)

    def forward(
        self,
        frames: Tensor,
        steps: int,
        state: tuple[Tensor, Tensor, Tensor] | None,
        reset: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run all steps.

        Args:
            frames: ``[T*B, C, h, w]``, step-major.
            steps: T.
            state: hidden, cell and previous frame before the first step, each ``[B, C, h, w]``;
                None where all sequences begin.
            reset: ``[T, B]`` bool, True where a sequence begins anew; None for nowhere.

        Returns:
            The hidden states of all steps ``[T*B, C, h, w]``, and the last step's hidden state and
            cell ``[B, C, h, w]``. They are float32 also under autocast.
        """
        batch = len(frames) // steps
        weight_x, weight_h = self.gates.weight.split(self.channels, dim=1)
        from_input = F.conv2d(frames, weight_x, self.gates.bias, padding=1)  # [T*B, 4C, h, w]
        similarity = self.similarity(frames, state[2] if state else None, batch)
        weights = similarity.split(batch) if similarity is not None else None
        first = 0 if state else 1  # the step that the first weight belongs to
        hidden, cell = state[:2] if state else (None, None)
        outputs = []
        for t, (x, gates) in enumerate(
            zip(frames.split(batch), from_input.split(batch), strict=True)
        ):
            if hidden is None or cell is None:
                hidden, cell = self.first_hidden(x), torch.zeros_like(x, dtype=torch.float32)
            else:
                if weights is not None:
                    hidden, cell = hidden * weights[t - first], cell * weights[t - first]
                if reset is not None:
                    anew = reset[t].view(batch, 1, 1, 1)
                    hidden = torch.where(anew, self.first_hidden(x), hidden)
                    cell = cell.masked_fill(anew, 0)
            gates = gates + F.conv2d(hidden, weight_h, padding=1)
            # In float32: over many steps a 16-bit cell forgets what it should add up.
            i, f, o, g = gates.float().chunk(4, dim=1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            outputs.append(hidden)
        assert hidden is not None
        assert cell is not None
        return torch.cat(outputs), hidden, cell
