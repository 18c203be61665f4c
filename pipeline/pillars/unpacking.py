"""Packed pillars to the network's tensors, exactly; what a cache's reader decodes with."""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import DataError
from pipeline.pillars import unpacking_kernels as kernels
from pipeline.pillars.encoding import PillarEncoding


@dataclass(frozen=True)
class PillarTensors:
    """Pillars of one polarity as the network takes them.

    Attributes:
        points: float32 ``[P, max_points, 3]``, x, y, t in grid units, unused slots 0.
        num_points: int64 ``[P]``.
        coords: int64 ``[P, 3]``, cell z, y, x.
    """

    points: np.ndarray
    num_points: np.ndarray
    coords: np.ndarray


def decode_points(
    pillars: np.ndarray, points: np.ndarray, span: int, encoding: PillarEncoding
) -> PillarTensors:
    """Packed pillars of one window and polarity to the network's tensors, exactly.

    Preset ``paper``: the coordinates are ``x/width·columns``, ``y/height·rows`` and
    ``(num_bins−1)·dt/span``, or with time in steps ``(num_bins−1)·(2·step+1)/(2·time_steps)``,
    computed in float64 and cast to float32: the paper's formulation to the bit, unless time is kept in
    steps. Preset ``release``: the cell's own integers and the time bin.

    Args:
        pillars: uint32 ``[P]``.
        points: ``[Q]`` of the encoding's ``point_dtype``.
        span: of the window, µs.
        encoding: that the window was packed by.

    Raises:
        DataError: the arrays contradict each other or the encoding.
    """
    settings = encoding.settings
    n = len(pillars)
    out = np.zeros((n, settings.max_points, 3), np.float32)
    num_points = np.empty(n, np.int64)
    coords = np.empty((n, 3), np.int64)
    fits = kernels.unpack_pillars(
        pillars, *settings.grid, settings.cells, settings.max_points, num_points, coords
    )
    if fits and num_points.sum() == len(points):
        if settings.preset == "release":
            kernels.expand_release(points, num_points, coords, out)
        else:
            places = kernels.PixelPlaces(
                encoding.first_pixel_of_column,
                encoding.first_pixel_of_row,
                encoding.x_of_pixel,
                encoding.y_of_pixel,
                *encoding.sub_bits,
            )
            fits = kernels.expand_paper(
                points, num_points, coords, places, encoding.time_scale(span), out
            )
    else:
        fits = False
    if not fits:
        raise DataError(
            "packed pillars and points do not fit each other or the settings; verify the cache."
        )
    return PillarTensors(out, num_points, coords)
