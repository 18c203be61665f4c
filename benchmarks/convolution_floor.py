"""The floor of a training step: its convolutions, forward and backward, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_CONVOLUTIONS = (
    torch.ops.aten.conv2d.default,  # in inference mode; with gradients it comes as the next
    torch.ops.aten.convolution.default,
    torch.ops.aten.convolution_backward.default,
)


@dataclass(frozen=True)
class _Like:
    """What a tensor is, apart from its values."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


class ConvolutionFloor(TorchDispatchMode):
    """Notes every convolution computed within its context; :meth:`replay` computes them again.

    Backward passes count as they are: of the weight, and of the input where it was asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Callable[..., Any], list[Any]]] = []
        self._tensors: dict[_Like, Tensor] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _CONVOLUTIONS:
            self._calls.append((func, [_described(argument) for argument in args]))
        return func(*args, **(kwargs or {}))

    def __len__(self) -> int:
        return len(self._calls)

    def replay(self) -> None:
        """All of them in their order, on random tensors of the same shapes, layouts and dtypes."""
        for func, arguments in self._calls:
            func(*(self._tensor(a) if isinstance(a, _Like) else a for a in arguments))

    def _tensor(self, like: _Like) -> Tensor:
        if like not in self._tensors:
            tensor = torch.empty_strided(
                like.shape, like.stride, dtype=like.dtype, device=like.device
            )
            self._tensors[like] = tensor.normal_()
        return self._tensors[like]


def _described(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return _Like(
            tuple(argument.shape), tuple(argument.stride()), argument.dtype, argument.device
        )
    return argument
