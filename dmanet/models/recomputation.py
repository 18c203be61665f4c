"""Activation checkpointing: activations made again in the backward pass instead of kept."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from dmanet.models.normalization import BatchNorm


def recomputed(function: Callable[..., Any], owner: nn.Module, *arguments: Any) -> Any:
    """Run a part of the network, and keep only its arguments and results for the backward pass.

    What lies between is computed a second time there, with the same results: the network draws no
    random numbers, and batch normalisations count a batch in their running statistics once, not
    twice.

    Args:
        function: the part: a module, or a method of one.
        owner: the module whose batch normalisations ``function`` runs.
        arguments: of ``function``.

    Returns:
        ``function(*arguments)``.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_held(owner)

    return checkpoint(
        function, *arguments, use_reentrant=False, preserve_rng_state=False, context_fn=contexts
    )


@contextmanager
def _statistics_held(owner: nn.Module) -> Iterator[None]:
    """:meth:`BatchNorm.statistics_held` for every batch normalisation in ``owner``."""
    with ExitStack() as held:
        for module in owner.modules():
            if isinstance(module, BatchNorm):
                held.enter_context(module.statistics_held())
        yield
