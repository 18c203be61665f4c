"""Sizes of the anchors, and the cells that they stand in."""

import itertools

import numpy as np

from pipeline.anchors.settings import AnchorSettings


def anchor_shapes(settings: AnchorSettings, level: int) -> np.ndarray:
    """Widths and heights of the anchors at one cell of a level.

    All anchors of one scale have the same area, ``(base_scale * stride * scale) ** 2``; a ratio is
    height over width.

    Returns:
        float64 ``[R * S, 2]`` in grid units, ratio-major and scale-minor.
    """
    base = settings.base_scale * 2**level
    sides = [
        (base * scale / ratio**0.5, base * scale * ratio**0.5)
        for ratio, scale in itertools.product(settings.ratios, settings.scales)
    ]
    return np.array(sides)


def cells_of_level(size: int, level: int) -> int:
    """Cells that a pyramid level has along a side of ``size``: ``ceil(size / 2**level)``."""
    return -(-size // 2**level)
