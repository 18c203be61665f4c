"""Settings of matching and loss; apart from the losses, because settings are read without torch."""

from pydantic import Field, model_validator

from pipeline.settings import Settings


class LossSettings(Settings):
    """Matching and loss. The defaults are the release's."""

    positive_iou: float = Field(
        default=0.5, gt=0, le=1, description="Least overlap of a positive anchor."
    )
    negative_iou: float = Field(
        default=0.4, ge=0, le=1, description="Background anchors overlap less."
    )
    match_low_quality: bool = Field(
        default=False, description="Each box also takes the anchors that overlap it most."
    )
    focal_alpha: float = Field(
        default=0.25, ge=0, le=1, description="Weight of the positive targets."
    )
    focal_gamma: float = Field(
        default=2.0, ge=1, le=100, description="How strongly easy examples are discounted."
    )
    smooth_l1_beta: float = Field(
        default=1 / 9, gt=0, le=1000, description="Where the box loss turns linear."
    )

    @model_validator(mode="after")
    def _check(self) -> "LossSettings":
        if self.negative_iou > self.positive_iou:
            raise ValueError(
                f"negative_iou {self.negative_iou} must not exceed positive_iou {self.positive_iou}"
            )
        return self
