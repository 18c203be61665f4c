"""The cells with events of a frame, from the pillars that a network was run on."""

import numpy as np

from dmanet.evaluation.streaming import DetectedWindows
from pipeline.pictures.cells import WindowCells


def cells_of(
    windows: DetectedWindows, frame: int, grid: tuple[int, int], sensor: tuple[int, int]
) -> WindowCells:
    """The cells with events of one frame of windows that ran together."""

    def of(coords: np.ndarray) -> np.ndarray:
        return coords[coords[:, 0] == frame][:, [3, 2]]

    width, height = grid
    return WindowCells(
        positive=of(windows.positive.coords.cpu().numpy()),
        negative=of(windows.negative.coords.cpu().numpy()),
        grid_size=(height, width),
        sensor_size=sensor,
    )
