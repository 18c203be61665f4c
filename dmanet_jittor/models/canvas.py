"""Pillar features to the canvas: each at its cell, polarity beside polarity."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dmanet_jittor.framework import jt


def scatter_to_canvas(
    features: Sequence[Any], coords: Sequence[np.ndarray], frames: int, grid_size: tuple[int, int]
) -> Any:
    """Pillar features at their cells of an otherwise zero canvas, polarity beside polarity.

    Of pillars that share a polarity, frame, y and x (they differ in z), the last is kept.

    Args:
        features: for each polarity ``[P, C]``.
        coords: for each polarity int64 ``[P, 4]``, frame, z, y, x.
        frames: number of frames N.
        grid_size: height H and width W in cells.

    Returns:
        ``[N, polarities * C, H, W]``.

    Raises:
        ValueError: the canvas has more places than jittor's 32-bit numbers count.
    """
    height, width = grid_size
    polarities, channels = len(features), features[0].shape[1]
    size = frames * height * width * polarities
    if size * channels >= 2**31:
        raise ValueError(f"a canvas of {size * channels} numbers is more than jittor counts to")
    places = np.concatenate(
        [
            ((of[:, 0] * height + of[:, 2]) * width + of[:, 3]) * polarities + polarity
            for polarity, of in enumerate(coords)
        ]
    )  # [P of all]
    last = len(places) - 1 - np.unique(places[::-1], return_index=True)[1]  # each place's
    rows = jt.concat(list(features), dim=0)[jt.array(last.astype(np.int32))]
    place = jt.array(places[last].astype(np.int32)).reshape((-1, 1)).expand(rows.shape)
    canvas = jt.zeros((size, channels)).scatter(0, place, rows, reduce="add")
    return canvas.reshape((frames, height, width, polarities * channels)).permute(0, 3, 1, 2)
