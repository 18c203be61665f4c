"""The grid of anchor boxes the network's outputs are relative to."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dmanet.detection.anchor_settings import AnchorSettings
from pipeline.anchors.shapes import anchor_shapes, cells_of_level


def anchors_for(
    grid_size: tuple[int, int],
    settings: AnchorSettings,
    device: torch.device | str | None = None,
) -> Tensor:
    """All anchors of a frame.

    A level of stride ``s`` has ``ceil(size / s)`` rows and columns of cells with centres at
    ``(i + 0.5) * s``. Order: level, row, column, then the shapes of :func:`anchor_shapes`; a head's
    outputs are flattened the same way. Anchors reach over the frame's border, as the release's do.

    Args:
        grid_size: height and width in cells.
        settings: of the anchors.
        device: where they are to be; None for the CPU.

    Returns:
        float32 ``[A, 4]``, x1, y1, x2, y2 in grid units. Cached and shared: do not write into it.
    """
    return _anchors(tuple(grid_size), settings, str(device) if device is not None else "cpu")


@lru_cache(maxsize=16)
def _anchors(grid_size: tuple[int, int], settings: AnchorSettings, device: str) -> Tensor:
    height, width = grid_size
    levels = []
    for level in settings.levels:
        y = (np.arange(cells_of_level(height, level)) + 0.5) * 2**level
        x = (np.arange(cells_of_level(width, level)) + 0.5) * 2**level
        centres = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1)  # [h, w, 2]
        half = anchor_shapes(settings, level) / 2  # [R * S, 2]
        centres = centres[:, :, None]
        levels.append(np.concatenate([centres - half, centres + half], axis=-1).reshape(-1, 4))
    # A tensor born in inference mode could never be used in a training step, and this one is kept.
    with torch.inference_mode(False):
        return torch.from_numpy(np.concatenate(levels).astype(np.float32)).to(device)
