"""Ranges of box sizes in sensor pixels: COCO's, and the protocols' own measure."""

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class SizeRange:
    """Boxes of some size.

    Attributes:
        name: of the range.
        measure: ``area`` (COCO: both ends included) or ``diagonal`` (the upper end excluded).
        lower: px² or px.
        upper: px² or px; None for no bound.
    """

    name: str
    measure: Literal["area", "diagonal"]
    lower: float
    upper: float | None

    def holds(self, sides: np.ndarray) -> np.ndarray:
        """Which boxes of width and height ``[n, 2]``, px, are in the range: bool ``[n]``."""
        if self.measure == "area":
            size = sides[:, 0] * sides[:, 1]
            return (size >= self.lower) & (size <= (1e10 if self.upper is None else self.upper))
        size = np.hypot(sides[:, 0], sides[:, 1])
        return (size >= self.lower) & (size < (np.inf if self.upper is None else self.upper))


#: All boxes first, then COCO's ranges, then octaves of what the box filters of the field go by: the
#: diagonal, from the 60 px that a box of the megapixel camera needs to be scored.
SIZE_RANGES = (
    SizeRange("all", "area", 0.0, None),
    SizeRange("small", "area", 0.0, 32.0**2),
    SizeRange("medium", "area", 32.0**2, 96.0**2),
    SizeRange("large", "area", 96.0**2, None),
    SizeRange("under 60 px", "diagonal", 0.0, 60.0),
    SizeRange("60 to 120 px", "diagonal", 60.0, 120.0),
    SizeRange("120 to 240 px", "diagonal", 120.0, 240.0),
    SizeRange("from 240 px", "diagonal", 240.0, None),
)
