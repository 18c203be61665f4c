"""A running average of a network's weights, which is often the better network."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import CheckpointError


# Not swa_utils.AveragedModel: its first update copies the weights where ours averages them with those
# before it, so that runs would change; and it keeps a whole second network. Untested on GPUs.
class WeightAverage:
    """Exponential moving average of a network's floats (weights and running statistics).

    After update n (from 0): ``average ← d · average + (1 − d) · weights`` with
    ``d = min(decay, (1 + n) / (10 + n))``, so that the first weights are soon forgotten. Integer
    buffers are copied. Tensors stay on the network's device; give the network itself, not a wrapper
    that renames its weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begins with the weights as they are. ``decay`` is 0…1: what is kept at each update."""
        self.decay = decay
        self.updates = 0
        self._tensors = {name: tensor.detach().clone() for name, tensor in _state(model).items()}

    def update(self, model: nn.Module) -> None:
        """Take in the network's weights after an optimiser step; not after one that was skipped.

        An average keeps a single NaN for ever.
        """
        state = _state(model)
        floats = [name for name, tensor in state.items() if tensor.is_floating_point()]
        averages, current = [self._tensors[n] for n in floats], [state[n] for n in floats]
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(averages, current, 1 - decay)
        for name in state.keys() - set(floats):
            self._tensors[name].copy_(state[name])
        self.updates += 1

    def tensors(self) -> dict[str, Tensor]:
        """The averages as a state dict of the network, not copied."""
        return dict(self._tensors)

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` takes: tensors and plain values, not copied."""
        return {"updates": self.updates, "tensors": self.tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where another average stood.

        Raises:
            CheckpointError: it is of another network; nothing is changed then.
        """
        shapes = {name: tensor.shape for name, tensor in state["tensors"].items()}
        if shapes != {name: tensor.shape for name, tensor in self._tensors.items()}:
            raise CheckpointError(
                "The average of weights to continue is of another network; resume with the settings "
                "of the run."
            )
        for name, tensor in state["tensors"].items():
            self._tensors[name].copy_(tensor)
        self.updates = int(state["updates"])


def _state(model: nn.Module) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = model.state_dict()
    return tensors
