"""Whether a run fits the memory that there is: told before it is taken, or in one sentence after."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dmanet.models.size import parameter_count
from dmanet.recipes import RunSettings
from pipeline.errors import UsageError

_NUMBERS = 4  # of a parameter: itself, its gradient, the optimiser's two moments
_BYTES = 4  # of float32


def check_network_fits(settings: RunSettings, device: torch.device) -> None:
    """Check that weights, gradients and optimiser alone do not exceed the device's memory.

    Linux gives memory that is not there, and ends the process that uses it.

    Raises:
        UsageError: they do.
    """
    parameters = parameter_count(settings.model)
    numbers = _NUMBERS + bool(settings.training.ema_decay)
    needed, there = parameters * numbers * _BYTES, _memory_of(device)
    if needed > there:
        raise UsageError(
            f"the network of these settings has {parameters} parameters, whose training takes "
            f"{needed / 1e9:.0f} GB before the first window; {device} has {there / 1e9:.0f} GB, set "
            "model.stem_width, model.feature_size or model.depth lower."
        )


@contextmanager
def memory_checked(step: int, device: torch.device) -> Iterator[None]:
    """Say in one sentence that a step does not fit the device's memory.

    Raises:
        UsageError: it does not.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise UsageError(
            f"Step {step} does not fit the memory of {device}; resume the run with --set "
            "training.activation_checkpointing=true, or start a run with fewer training.steps or a "
            "smaller training.batch_size."
        ) from None


def _memory_of(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
