"""Layers that jittor 1.3 has otherwise, or computes wrong; docs/jittor.md has the measured errors."""

from typing import Any

from dmanet_jittor.framework import jt


class BatchNorm(jt.nn.Module):
    """Batch normalisation of ``[N, C, h, w]``, with the statistics in two passes.

    Jittor's own takes ``E[x²] − E[x]²``, which loses two digits where the mean is large, and its
    running variance is the biased one. A training batch of one value a channel has no variance: it is
    normalised with the running statistics, which it leaves as they are.

    Attributes:
        weight: ``[C]``, with ``bias`` what is learned.
        running_mean: ``[C]``, with ``running_var`` what evaluation uses.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = jt.ones((channels,))
        self.bias = jt.zeros((channels,))
        self.running_mean = jt.zeros((channels,)).stop_grad()
        self.running_var = jt.ones((channels,)).stop_grad()

    def execute(self, x: Any) -> Any:
        """Normalised ``x``, shape unchanged."""
        values = x.numel() // x.shape[1]
        if self.is_training() and values > 1:
            mean = x.mean(dims=(0, 2, 3), keepdims=True)
            centred = x - mean
            var = centred.sqr().mean(dims=(0, 2, 3), keepdims=True)
            self.count(mean.flatten(), var.flatten() * (values / (values - 1)))
        else:
            centred = x - _by_channel(self.running_mean)
            var = _by_channel(self.running_var)
        scale = _by_channel(self.weight) * jt.rsqrt(var + self.eps)
        return centred * scale + _by_channel(self.bias)

    def count(self, mean: Any, var: Any) -> None:
        """Update the running statistics by a batch's mean and unbiased variance, ``[C]`` each."""
        for running, own in ((self.running_mean, mean), (self.running_var, var)):
            running.update(running * (1 - self.momentum) + own.detach() * self.momentum)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent; the gradient of jittor's is NaN where ``|x|`` is 50 or more."""
    return 2.0 * jt.sigmoid(2.0 * x) - 1.0


def _by_channel(values: Any) -> Any:
    return values.reshape((1, -1, 1, 1))
