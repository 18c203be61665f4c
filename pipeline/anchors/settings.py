"""Settings of the anchors: which boxes stand at every cell of a pyramid level."""

from pydantic import Field, model_validator

from pipeline.settings import Settings


class AnchorSettings(Settings):
    """Anchor boxes of every pyramid level. The defaults are the release's."""

    levels: tuple[int, ...] = Field(
        default=(3, 4, 5, 6, 7),
        min_length=1,
        max_length=8,
        description="Pyramid levels; level l has stride 2**l.",
    )
    base_scale: float = Field(
        default=4.0, gt=0, le=1000, description="Base anchor size in strides."
    )
    scales: tuple[float, ...] = Field(
        default=(1.0, 2.0 ** (1 / 3), 2.0 ** (2 / 3)),
        min_length=1,
        max_length=16,
        description="Factors on the base size.",
    )
    ratios: tuple[float, ...] = Field(
        default=(1 / 3, 1 / 2, 1.0, 2.0, 3.0),
        min_length=1,
        max_length=16,
        description="Heights over widths.",
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
        if max(*self.scales, *self.ratios) > 1000 or min(self.ratios) < 0.001:
            raise ValueError("scales and ratios must be at most 1000, and ratios at least 0.001")
        return self
