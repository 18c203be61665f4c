"""Settings of augmentation; apart from it, because settings are read without torch."""

from pydantic import Field, model_validator

from pipeline.settings import Settings

LONGEST_STOP = 4096  # windows


class AugmentationSettings(Settings):
    """Random transforms of training samples. The defaults change nothing."""

    flip: float = Field(
        default=0.0, ge=0, le=1, description="Probability that left and right are exchanged."
    )
    swap_polarity: float = Field(
        default=0.0, ge=0, le=1, description="Probability that the polarities are exchanged."
    )
    zoom: tuple[float, float] = Field(
        default=(1.0, 1.0),
        description="Least and largest factor about the centre of the frame; above 1 shows a part "
        "enlarged, below 1 the whole made smaller.",
    )
    shift: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="Farthest shift either way along x and y, as a share of the frame.",
    )
    min_visible: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Boxes of which less than this share of the area stays in the frame are dropped.",
    )
    min_side: float = Field(
        default=20.0,
        ge=0,
        le=100_000,
        description="Boxes whose shorter side becomes smaller than this are dropped; in pixels of "
        "the sensor, as in the label rules.",
    )
    min_diagonal: float = Field(
        default=60.0,
        ge=0,
        le=100_000,
        description="The same for their diagonal, in pixels of the sensor.",
    )

    stop: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Probability, after each window that is shown, that the scene comes to rest.",
    )
    stop_windows: tuple[int, int] = Field(
        default=(4, 16), description="Fewest and most windows that it rests for."
    )
    stop_noise: float = Field(
        default=0.1,
        ge=0,
        le=20,
        description="Events a second and pixel that the camera gives of a scene at rest.",
    )

    @property
    def moves(self) -> bool:
        """Whether frames are ever zoomed or shifted."""
        return self.zoom != (1.0, 1.0) or self.shift > 0

    @model_validator(mode="after")
    def _check(self) -> "AugmentationSettings":
        low, high = self.zoom
        if not 0.25 <= low <= high <= 4:
            raise ValueError(f"zoom {self.zoom} must be a lower and an upper factor within 0.25…4")
        fewest, most = self.stop_windows
        if not 1 <= fewest <= most <= LONGEST_STOP:
            raise ValueError(
                f"stop_windows {self.stop_windows} must be a lower and an upper number within "
                f"1…{LONGEST_STOP}"
            )
        return self
