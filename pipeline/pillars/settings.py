"""How a window of events becomes pillars: the settings, without the sensor's size."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipeline.errors import SettingsError
from pipeline.pillars.bit_layout import CELLS_LIMIT, MAX_POINTS_LIMIT
from pipeline.settings import StrictSettings

Preset = Literal["release", "paper"]
Dedup = Literal["pixel", "none"]
Overflow = Literal["skip", "stop"]

MAX_TIME_STEPS = 1 << 12


def as_tuple(value: Any) -> Any:
    """A list as a tuple, anything else as it is: JSON knows lists only."""
    return tuple(value) if isinstance(value, list) else value


_Side = Annotated[int, Field(ge=1)]


class PillarSettings(StrictSettings):
    """How a window becomes pillars, whatever the sensor. A description stands in the report.

    The preset ``release`` computes what the released code computes: coordinates truncated to
    integers, one event per cell over both polarities. ``paper`` keeps float coordinates and several
    points a pillar. With ``overflow`` ``skip`` the preset ``paper`` refuses new pillars beyond
    ``max_pillars``; ``stop`` also drops every later event, as the release does. ``time_steps`` 0
    keeps each point's time to the µs; n > 0 keeps in which n-th of the window's span it lies, and
    decodes to the middle of that step, half a step off at most.

    Raises:
        SettingsError: a value is wrong or contradicts another.
    """

    preset: Preset = Field(default="release", description="how a window becomes pillars")
    grid: Annotated[tuple[_Side, _Side], BeforeValidator(as_tuple)] = Field(
        default=(512, 512), description="columns and rows"
    )
    num_bins: int = Field(default=5, ge=2, le=255, description="time is scaled to 0 … this − 1")
    time_cells: int = Field(default=1, ge=1, description="cells along time")
    max_points: int = Field(
        default=5, ge=1, le=MAX_POINTS_LIMIT, description="points a pillar holds at most"
    )
    max_pillars: int = Field(
        default=100_000, ge=1, description="pillars of a polarity in a window at most"
    )
    dedup: Dedup = Field(
        default="pixel", description="preset paper: earliest event of each pixel, or all"
    )
    overflow: Overflow = Field(
        default="skip", description="preset paper: what happens beyond max_pillars"
    )
    time_steps: int = Field(
        default=0,
        ge=0,
        le=MAX_TIME_STEPS,
        description="preset paper: parts of a window's span that times are kept in; 0: every µs",
    )

    @model_validator(mode="after")
    def _check_pillars(self) -> "PillarSettings":
        steps = self.time_steps
        if steps and (self.preset != "paper" or steps < 2 or steps % self.time_cells):
            raise SettingsError(
                f"time_steps is {steps}; choose a multiple of time_cells from 2 to "
                f"{MAX_TIME_STEPS} with the preset paper, or 0 for exact times."
            )
        if self.cells >= CELLS_LIMIT:
            raise SettingsError("grid has too many cells; choose a coarser one.")
        return self

    @property
    def cells(self) -> int:
        """Number of cells of one polarity."""
        columns, rows = self.grid
        return columns * rows * self.time_cells
