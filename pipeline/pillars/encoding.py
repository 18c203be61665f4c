"""The encoding of one sensor's windows: pillar settings and what follows from the sensor's size."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.errors import SettingsError
from pipeline.pillars.bit_layout import WORD_BITS
from pipeline.pillars.settings import PillarSettings

MAX_SENSOR_SIDE = 1 << 14


@dataclass(frozen=True)
class PillarEncoding:
    """Settings together with a sensor size: which cell and which bits every pixel has.

    Attributes:
        settings: how a window becomes pillars.
        sensor: (width, height) in pixels.

    Raises:
        SettingsError: the sensor is impossible, or its pixels and the settings' time steps do not
            fit a point's bits.
    """

    settings: PillarSettings
    sensor: tuple[int, int]

    def __post_init__(self) -> None:
        width, height = self.sensor
        if min(self.sensor) < 1 or max(self.sensor) > MAX_SENSOR_SIDE:
            raise SettingsError(
                f"sensor is {width}x{height}; its sides go from 1 to {MAX_SENSOR_SIDE} pixels."
            )
        if self.settings.time_steps and self._step_bits > WORD_BITS:
            raise SettingsError(
                f"{self.settings.time_steps} time_steps and the pixels of a cell do not fit "
                f"{WORD_BITS} bits; choose fewer steps or a finer grid."
            )

    @cached_property
    def column_of_pixel(self) -> np.ndarray:
        """Grid column of every sensor column, int32 ``[width]``: ``floor(x·columns / width)``."""
        width, columns = self.sensor[0], self.settings.grid[0]
        return (np.arange(width) * columns // width).astype(np.int32)

    @cached_property
    def row_of_pixel(self) -> np.ndarray:
        """Grid row of every sensor row, int32 ``[height]``."""
        height, rows = self.sensor[1], self.settings.grid[1]
        return (np.arange(height) * rows // height).astype(np.int32)

    @cached_property
    def first_pixel_of_column(self) -> np.ndarray:
        """First sensor column of every grid column, int32 ``[columns]``."""
        columns = np.arange(self.settings.grid[0])
        return np.searchsorted(self.column_of_pixel, columns).astype(np.int32)

    @cached_property
    def first_pixel_of_row(self) -> np.ndarray:
        """First sensor row of every grid row, int32 ``[rows]``."""
        rows = np.arange(self.settings.grid[1])
        return np.searchsorted(self.row_of_pixel, rows).astype(np.int32)

    @cached_property
    def sub_bits(self) -> tuple[int, int]:
        """Bits for a pixel's place in its cell, along x and along y."""
        widest = np.bincount(self.column_of_pixel).max() - 1
        tallest = np.bincount(self.row_of_pixel).max() - 1
        return int(widest).bit_length(), int(tallest).bit_length()

    @cached_property
    def x_of_pixel(self) -> np.ndarray:
        """Grid coordinate of every sensor column, float32 ``[width]``."""
        width, columns = self.sensor[0], self.settings.grid[0]
        return (np.arange(width) / width * columns).astype(np.float32)

    @cached_property
    def y_of_pixel(self) -> np.ndarray:
        """Grid coordinate of every sensor row, float32 ``[height]``."""
        height, rows = self.sensor[1], self.settings.grid[1]
        return (np.arange(height) / height * rows).astype(np.float32)

    @property
    def point_dtype(self) -> np.dtype:
        """Type of the packed ``points``."""
        if self.settings.preset == "release":
            return np.dtype(np.uint8)
        fits_half = self.settings.time_steps and self._step_bits <= WORD_BITS // 2
        return np.dtype(np.uint16 if fits_half else np.uint32)

    @property
    def _step_bits(self) -> int:
        """Bits of a point whose time is a step."""
        return (self.settings.time_steps - 1).bit_length() + sum(self.sub_bits)

    def time_scale(self, span: int) -> tuple[int, int, int]:
        """How a stored time of the preset ``paper`` decodes.

        Args:
            span: of the window, µs.

        Returns:
            ``(factor, addend, divisor)``: a stored time ``d`` stands for
            ``(factor·d + addend) / divisor`` on the scale 0…num_bins−1.
        """
        last = self.settings.num_bins - 1
        if self.settings.time_steps:
            return 2 * last, last, 2 * self.settings.time_steps
        return last, 0, max(span, 1)
