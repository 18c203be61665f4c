"""Batch normalisation that survives a single value, and covers the batches of several processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmanet.ranks import ALONE, Ranks


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of ``[N, C, ...]`` that also takes one value a channel while training.

    One value has no variance, and PyTorch refuses it. Such a batch (one frame whose coarsest level
    is a single cell, one pillar with one slot) is normalised with the running statistics, which it
    leaves as they are.

    Attributes:
        ranks: the processes whose training batches count as one; this one alone at first.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(channels, eps, momentum)
        self.ranks = ALONE
        self._statistics_held = False

    def share(self, ranks: Ranks) -> None:
        """Count the training batches of all ``ranks`` as one from now on."""
        self.ranks = ranks

    @contextmanager
    def statistics_held(self) -> Iterator[None]:
        """Leave the running statistics as they are until the block ends.

        Training batches are normalised with their own statistics all the same.
        """
        self._statistics_held = True
        try:
            yield
        finally:
            self._statistics_held = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalised ``x``, shape and dtype unchanged."""
        if self.training and self.ranks.world_size > 1:
            return self._forward_shared(x)
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if self.training and self._statistics_held:
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
        if self._statistics_held:
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

    @torch.compiler.disable
    def _forward_shared(self, x: Tensor) -> Tensor:
        y: Tensor
        y, mean, var, values = _SharedBatchNorm.apply(
            x, self.weight, self.bias, self.eps, self.ranks
        )
        self.count(mean[None], var[None], values[None])
        return y

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected [N, C, ...], got {input.dim()} dimensions")


# Not SyncBatchNorm, not even on GPUs: it refuses CPUs, where our tests run, and single values, and the
# pillar net would need the same sums of its own beside it. Untested on GPUs.
class _SharedBatchNorm(torch.autograd.Function):
    """Batch normalisation with the statistics of all ranks.

    Each direction sends a few numbers a channel. A rank's loss depends on the values of the others,
    so its gradient with respect to ``x`` is that of the sum of all ranks' losses, while those with
    respect to weight and bias are its own part of that sum's.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, ranks: Ranks
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        channels = len(weight)
        # The given running statistics are only there to say in which dtype to compute.
        scratch = weight.new_zeros((2, channels))
        mean, var = torch.batch_norm_update_stats(x, scratch[0], scratch[1], 0.0)  # [C] each
        # In float64 the difference of squares below cancels without loss.
        mean, var = mean.double(), var.double()
        values = mean.new_full((1,), x.numel() // channels)
        sums = torch.cat([mean * values, (var + mean**2) * values, values])  # [2 C + 1]
        mean, square, values = ranks.all_reduce(sums).split([channels, channels, 1])
        mean, square = mean / values, square / values
        var = (square - mean**2).clamp(min=0)
        y = F.batch_norm(x, mean.to(weight.dtype), var.to(weight.dtype), weight, bias, eps=eps)
        ctx.save_for_backward(x, weight, mean, var, values)
        ctx.eps, ctx.ranks = eps, ranks
        total = values.squeeze(0)
        ctx.mark_non_differentiable(mean, var, total)
        return y, mean, var, total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_y: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, weight, mean, var, values = ctx.saved_tensors
        mean, var = mean.to(weight.dtype), var.to(weight.dtype)
        # As if the statistics were constants: Σ grad_y · x̂ for the weight, Σ grad_y for the bias.
        grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            grad_y, x, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        # What the statistics add: with the means of both over all values,
        # - weight / σ · (mean(grad_y) + x̂ · mean(grad_y · x̂)).
        sums = ctx.ranks.all_reduce(torch.cat([grad_bias, grad_weight])).view(2, -1)
        through_mean, through_var = sums / values.to(sums.dtype) * weight / (var + ctx.eps).sqrt()
        grad_x = grad_x - F.batch_norm(x, mean, var, through_var, through_mean, eps=ctx.eps)
        return grad_x, grad_weight, grad_bias, None, None


def share_statistics(model: nn.Module, ranks: Ranks) -> None:
    """Let every :class:`BatchNorm` of ``model`` count the training batches of all ``ranks`` as one."""
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.share(ranks)


def autocast_dtype(tensor: Tensor) -> torch.dtype:
    """What autocast would make of ``tensor`` in a convolution; its own dtype without autocast."""
    kind = tensor.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tensor.dtype
