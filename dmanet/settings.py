"""Typed settings of the network, with named presets. An unknown key is an error.

Settings are pydantic models: frozen, strict about their keys, and written to JSON beside every set
of weights, so that a checkpoint states what it is.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from dmanet.detection.anchor_settings import AnchorSettings
from pipeline.settings import Settings, load_settings

COARSEST_BACKBONE_STRIDE = 32
# Bounds, here and below, are far from any use: they keep a typing error, or a file that lies about
# itself, from asking for more memory than machines have.
LARGEST_SIDE = 8192
# What torch's CPU convolutions are tried with (`python -m benchmarks.convolution_faults`), and fast on.
STEM_WIDTH_UNIT = 8
# Settings that came later, each with what files without it mean.
_LATER = {
    "first_hidden": "released",
    "forget_bias": 0.0,
    "candidate_init": "released",
    "short_memory_init": "released",
}


class ModelSettings(Settings):
    """Everything that decides the network's architecture. The defaults are the released DMANet."""

    depth: Literal[18, 34, 50, 101, 152] = Field(
        default=18, description="Depth of the residual backbone."
    )
    grid_size: tuple[int, int] = Field(
        default=(512, 512), description="Height and width of the canvas in cells."
    )
    num_classes: int = Field(default=7, ge=1, le=1000, description="Object classes.")
    max_points: int = Field(default=5, ge=1, le=1024, description="Point slots of a pillar.")
    pillar_channels: int = Field(
        default=8, ge=1, le=256, description="Canvas channels of each polarity."
    )
    pillar_batch_norm: Literal["batch", "sample"] = Field(
        default="batch",
        description="What training statistics of the pillar net cover: all pillars of a batch, or "
        "(the release) those of one frame and polarity.",
    )
    stem_width: int = Field(
        default=64,
        le=1024,
        description="Stage widths are 1, 2, 4 and 4 times this, a multiple of 8.",
    )
    feature_size: int = Field(
        default=256, ge=1, le=2048, description="Channels of the pyramid and of the heads."
    )
    head_convs: int = Field(
        default=4, ge=0, le=32, description="3x3 convolutions in a head before its output."
    )
    long_memory: Literal["adaptive", "plain", "hold", "none"] = Field(
        default="adaptive",
        description="ConvLSTM with similarity weights, without them, a gated mean of the features in "
        "place of it (hold, which is not DMANet), or nothing.",
    )
    first_hidden: Literal["released", "zero"] = Field(
        default="released",
        description="What the ConvLSTM's gates read as hidden state where a sequence begins: the "
        "feature itself (the release), or zeros.",
    )
    forget_bias: float = Field(
        default=0.0,
        ge=-20,
        le=20,
        description="Added to the first biases of the ConvLSTM's forget gates; 0 in the release.",
    )
    candidate_init: Literal["released", "feature"] = Field(
        default="released",
        description="First weights of what the ConvLSTM may take into its cell: drawn (the release), "
        "or such that it is the feature.",
    )
    short_memory: bool = Field(
        default=True, description="Aggregate each feature with the previous step's by attention."
    )
    short_memory_init: Literal["released", "zero"] = Field(
        default="released",
        description="First weights of the aggregation's output: drawn (the release), or 0, so that "
        "features pass unchanged at first.",
    )
    similarity_eps: float = Field(
        default=1e-4,
        gt=0,
        le=1,
        description="Embedding norm under which similarity weights fade out.",
    )
    anchors: AnchorSettings = Field(default=AnchorSettings(), description="Anchor boxes.")

    def identity(self) -> str:
        """The settings as JSON for digests: equal for equal networks, whichever release wrote them.

        What an earlier release did not know is left out where it is as it was then.
        """
        as_before = {name for name, value in _LATER.items() if getattr(self, name) == value}
        return self.model_dump_json(exclude=as_before)

    @model_validator(mode="after")
    def _check(self) -> "ModelSettings":
        if max(self.grid_size) > LARGEST_SIDE:
            raise ValueError(f"grid_size {self.grid_size} has a side of more than {LARGEST_SIDE}")
        if min(self.grid_size) < COARSEST_BACKBONE_STRIDE:
            raise ValueError(
                f"grid_size {self.grid_size} is smaller than one cell of the coarsest backbone "
                f"feature ({COARSEST_BACKBONE_STRIDE} x {COARSEST_BACKBONE_STRIDE})"
            )
        if self.stem_width < STEM_WIDTH_UNIT or self.stem_width % STEM_WIDTH_UNIT:
            raise ValueError(
                f"stem_width {self.stem_width} is not a multiple of {STEM_WIDTH_UNIT}, which is what "
                "the network is tried with"
            )
        if self.anchors.levels not in ((3, 4, 5), (3, 4, 5, 6), (3, 4, 5, 6, 7)):
            raise ValueError(
                f"anchors.levels must be 3 to 5, 3 to 6 or 3 to 7 without gaps, "
                f"not {self.anchors.levels}"
            )
        return self


MODEL_PRESETS: dict[str, ModelSettings] = {
    "dmanet18": ModelSettings(),
    "dmanet34": ModelSettings(depth=34),
    # The same network, small enough to train on two CPU cores. Anchors of 16 to 102 cells suit
    # the 128 x 128 grid as the release's 32 to 812 suit its 512 x 512.
    "tiny": ModelSettings(
        grid_size=(128, 128),
        stem_width=16,
        feature_size=64,
        head_convs=2,
        anchors=AnchorSettings(levels=(3, 4, 5), base_scale=2.0),
    ),
}


def filled_up(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A whole description of a network by an earlier release, with what came later as it was then.

    One that lacks more than what came later is no whole description, and stays as it is.
    """
    whole = ModelSettings.model_fields.keys() - _LATER.keys() <= mapping.keys()
    return {**_LATER, **mapping} if whole else dict(mapping)


def load_model_settings(
    mapping: Mapping[str, Any], source: str = "model settings"
) -> ModelSettings:
    """:class:`ModelSettings` from plain keys and values (JSON, YAML); see :func:`load_settings`."""
    return load_settings(ModelSettings, mapping, source, converted=False)
