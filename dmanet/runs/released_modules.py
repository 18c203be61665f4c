"""The released name of each of our tensors, by names alone."""

from collections.abc import Container

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


def released_name(ours: str, names: Container[str]) -> str:
    """The released name of one of our ``names``."""
    module = max((module for module in _MODULES if ours.startswith(module + ".")), key=len)
    rest = ours.removeprefix(module)
    released = _MODULES[module]
    if module.startswith("backbone.stages."):
        rest = rest.replace(".norm", ".bn").replace(".shortcut.", ".downsample.")
    elif module.startswith("temporal_branch.norms."):
        # A level without a convolution of its own holds its normalisation first.
        convolution = module.replace("norms", "convs") + ".weight"
        released += ".1" if convolution in names else ".0"
    elif rest.startswith(".convs."):
        index, parameter = rest.removeprefix(".convs.").split(".")
        rest = f".conv{int(index) + 1}.{parameter}"
    return released + rest
