"""Weights under the released names and under ours.

Every tensor of the released network has exactly one place in ours, of the same shape, and the other
way round; only one matrix that the release stores and never uses has none.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from dmanet.models.detector import DMANet
from dmanet.models.pillar_net import POINT_FEATURES
from dmanet.runs.released_modules import released_name
from dmanet.settings import ModelSettings
from pipeline.errors import CheckpointError

# Stored by the release, read by nothing: [pillar channels, point features].
UNUSED_RELEASED = "voxel_feature_extractor.pfn_layers.0.linear.weight"

# Those that lose nothing where float32 and counts are wanted.
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int64)
_MOST_NAMES = 200  # in a message; a network has about 400 tensors
_LONGEST_NAME = 100


def released_names(settings: ModelSettings) -> dict[str, str]:
    """Released name -> our name of every tensor of the network, parameters and buffers.

    Raises:
        CheckpointError: the released code has no such network.
    """
    for name, own in (("long_memory", "hold"), ("first_hidden", "zero")):
        if getattr(settings, name) == own:
            raise CheckpointError(
                f"the released code has no network with {name}={own}; only one without it can be "
                "exchanged with it."
            )
    template = _template(settings)
    return {released_name(name, template): name for name in template}


def from_released(
    state_dict: Mapping[str, Tensor], settings: ModelSettings, source: str = "checkpoint"
) -> dict[str, Tensor]:
    """Our state dict with a released checkpoint's tensors, in our dtypes.

    Args:
        state_dict: released name -> tensor.
        settings: the architecture that the weights must fit.
        source: what to call the checkpoint in an error.

    Raises:
        CheckpointError: names are missing or surplus, or tensors have other shapes or dtypes or numbers
            that are not finite; the first of each are listed.
    """
    template = _template(settings)
    names = released_names(settings)
    expected = {name: template[ours].shape for name, ours in names.items()}
    expected[UNUSED_RELEASED] = torch.Size((settings.pillar_channels, POINT_FEATURES))
    missing = sorted(expected.keys() - state_dict.keys())
    surplus = sorted(state_dict.keys() - expected.keys())
    shapes = [
        f"{name} ({tuple(state_dict[name].shape)} instead of {tuple(shape)})"
        for name, shape in sorted(expected.items())
        if name in state_dict and state_dict[name].shape != shape
    ]
    kinds = [
        f"{name} ({state_dict[name].dtype})"
        for name in sorted(names)
        if name in state_dict and state_dict[name].dtype not in _DTYPES
    ]
    numbers = [
        name
        for name in sorted(names)
        if name in state_dict and not bool(torch.isfinite(state_dict[name]).all())
    ]
    problems = {
        "missing": missing,
        "surplus": surplus,
        "of another shape": shapes,
        "of another dtype": kinds,
        "not finite": numbers,
    }
    if any(problems.values()):
        raise CheckpointError(
            f"{source} does not fit this network (depth {settings.depth}, {settings.num_classes} "
            "classes): "
            + "; ".join(f"{kind}: {_listed(found)}" for kind, found in problems.items() if found)
        )
    return {ours: state_dict[name].to(template[ours].dtype) for name, ours in names.items()}


def to_released(state_dict: Mapping[str, Tensor], settings: ModelSettings) -> dict[str, Tensor]:
    """The released state dict with our tensors (not copied).

    The unused matrix is zeros: its values cannot matter, but a strict loader asks for it.
    """
    released = {name: state_dict[ours] for name, ours in released_names(settings).items()}
    released[UNUSED_RELEASED] = torch.zeros(settings.pillar_channels, POINT_FEATURES)
    return released


def _listed(found: list[str]) -> str:
    told = [name[:_LONGEST_NAME] for name in found[:_MOST_NAMES]]
    more = len(found) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def _template(settings: ModelSettings) -> dict[str, Tensor]:
    """Our names with tensors that have a shape and no storage."""
    with torch.device("meta"):
        return DMANet(settings).state_dict()
