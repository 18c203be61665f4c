"""Weights under the released names and under ours.

Every tensor of the released network has exactly one place in ours, of the same shape, and the other
way round; only one matrix that the release stores and never uses has none.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from dmanet.models.detector import DMANet
from dmanet.models.pillar_net import POINT_FEATURES
from dmanet.settings import ModelSettings
from pipeline.errors import CheckpointError

# Stored by the release, read by nothing: [pillar channels, point features].
UNUSED_RELEASED = "voxel_feature_extractor.pfn_layers.0.linear.weight"

# Those that lose nothing where float32 and counts are wanted.
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int64)
_MOST_NAMES = 200  # in a message; a network has about 400 tensors
_LONGEST_NAME = 100

# Our module -> the released one. Of several that fit a name the longest holds.
_MODULES: dict[str, str] = {
    "pillar_net.point_conv": "voxel_feature_extractor.pfn_layers.0.conv1",
    "pillar_net.norm": "voxel_feature_extractor.pfn_layers.0.norm",
    "pillar_net.slot_conv": "voxel_feature_extractor.pfn_layers.0.conv3",
    "backbone.stem_conv": "input_layer.0",
    "backbone.stem_norm": "input_layer.1",
    **{f"backbone.stages.{i}": f"layer{i + 1}" for i in range(4)},
    **{f"long_memory.{i}.gates": f"layer{i + 2}_lstm.Gates" for i in range(3)},
    **{f"long_memory.{i}.embed": f"layer{i + 2}_lstm.embed_layer.embed_convs" for i in range(3)},
    **{f"short_memory.{i}": f"aggregation_layer.{i}" for i in range(3)},
    **{f"short_memory.{i}.project": f"aggregation_layer.{i}.att_layer" for i in range(3)},
    **{f"temporal_branch.convs.{i}": f"temporal_layer{i + 2}.0" for i in range(5)},
    **{f"temporal_branch.norms.{i}": f"temporal_layer{i + 2}" for i in range(5)},
    **{f"pyramid.lateral.{i}": f"fpn.P{i + 3}_1" for i in range(3)},
    **{f"pyramid.smooth.{i}": f"fpn.P{i + 3}_2" for i in range(3)},
    "pyramid.p6": "fpn.P6",
    "pyramid.p7": "fpn.P7_2",
    "class_head": "classificationModel",
    "box_head": "regressionModel",
}


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
    return {_released(name, template): name for name in template}


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


def _released(ours: str, template: Mapping[str, Tensor]) -> str:
    """The released name of one of our names; ``template`` has all of them."""
    module = max((module for module in _MODULES if ours.startswith(module + ".")), key=len)
    rest = ours.removeprefix(module)
    released = _MODULES[module]
    if module.startswith("backbone.stages."):
        rest = rest.replace(".norm", ".bn").replace(".shortcut.", ".downsample.")
    elif module.startswith("temporal_branch.norms."):
        # A level without a convolution of its own holds its normalisation first.
        convolution = module.replace("norms", "convs") + ".weight"
        released += ".1" if convolution in template else ".0"
    elif rest.startswith(".convs."):
        index, parameter = rest.removeprefix(".convs.").split(".")
        rest = f".conv{int(index) + 1}.{parameter}"
    return released + rest
