"""Batch normalisation that survives a single value."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of ``[N, C, ...]`` that also takes one value a channel while training.

    One value has no variance, and PyTorch refuses it. Such a batch (one frame whose coarsest level
    is a single cell, one pillar with one slot) is normalised with the running statistics, which it
    leaves as they are. So does every batch while ``hold_statistics`` is set.
    """

    hold_statistics = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalised ``x``, shape and dtype unchanged."""
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if self.training and self.hold_statistics:
            assert self.running_mean is not None
            assert self.running_var is not None
            # Updates copies: what autograd keeps must be the same tensors either way.
            mean, var = self.running_mean.clone(), self.running_var.clone()
            return F.batch_norm(x, mean, var, self.weight, self.bias, training=True, eps=self.eps)
        return super().forward(x)

    @torch.no_grad()
    def count(self, mean: Tensor, var: Tensor, values: Tensor) -> None:
        """Update the running statistics by those of G batches, one after the other.

        Args:
            mean: ``[G, C]``.
            var: ``[G, C]``, divided by the number of values, not by one less.
            values: ``[G]``, values of each channel; batches of fewer than two do not count.
        """
        if self.hold_statistics:
            return
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        counts = values > 1
        number = counts.sum()
        kept = 1 - self.momentum
        share = torch.where(counts, self.momentum * kept ** (number - counts.cumsum(0)), 0.0)
        unbiased = var * (values / (values - 1).clamp(min=1))[:, None]
        for running, own in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.copy_(running * kept**number + share.to(own.dtype) @ own)
        self.num_batches_tracked += number

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected [N, C, ...], got {input.dim()} dimensions")


def autocast_dtype(tensor: Tensor) -> torch.dtype:
    """What autocast would make of ``tensor`` in a convolution; its own dtype without autocast."""
    kind = tensor.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tensor.dtype
