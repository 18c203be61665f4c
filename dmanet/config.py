"""Typed settings of the network, with named presets. An unknown key is an error.

Settings are pydantic models: frozen, strict about their keys, and written to JSON beside every set
of weights, so that a checkpoint states what it is.
"""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Base of all settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AnchorSettings(Settings):
    """Anchor boxes of every pyramid level. The defaults are the release's."""

    levels: tuple[int, ...] = Field(
        (3, 4, 5, 6, 7), min_length=1, description="Pyramid levels; level l has stride 2**l."
    )
    base_scale: float = Field(4.0, gt=0, description="Base anchor size in strides.")
    scales: tuple[float, ...] = Field(
        (1.0, 2.0 ** (1 / 3), 2.0 ** (2 / 3)), min_length=1, description="Factors on the base size."
    )
    ratios: tuple[float, ...] = Field(
        (1 / 3, 1 / 2, 1.0, 2.0, 3.0), min_length=1, description="Heights over widths."
    )

    @property
    def per_cell(self) -> int:
        """Anchors at each cell of a level."""
        return len(self.scales) * len(self.ratios)

    @model_validator(mode="after")
    def _check(self) -> "AnchorSettings":
        if any(level < 0 for level in self.levels) or list(self.levels) != sorted(set(self.levels)):
            raise ValueError(f"levels must be ascending and not negative, not {self.levels}")
        if min(self.scales) <= 0 or min(self.ratios) <= 0:
            raise ValueError("scales and ratios must be greater than 0")
        return self
