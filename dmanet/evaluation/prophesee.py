"""Boxes in the format of Prophesee's `_bbox.npy` files, in sensor pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dmanet.detection.found import Detections, in_sensor_pixels
from pipeline.exchange.records import BOX_DTYPE
from pipeline.files.whole import written_whole


def box_records(
    detections: Detections, t_us: int, grid_size: tuple[int, int], sensor_size: tuple[int, int]
) -> np.ndarray:
    """One window's detections as records, scaled from grid units to sensor pixels.

    Args:
        detections: what was found.
        t_us: the time that all of them get, µs.
        grid_size: height and width in cells.
        sensor_size: width and height in pixels.

    Returns:
        ``BOX_DTYPE [n]``. ``track_id`` is 0: the detector does not track.
    """
    corners = in_sensor_pixels(detections.boxes, grid_size, sensor_size)
    records = np.zeros(len(detections), BOX_DTYPE)
    records["t"] = t_us
    records["x"], records["y"] = corners[:, 0], corners[:, 1]
    records["w"], records["h"] = (corners[:, 2:] - corners[:, :2]).T
    records["class_id"] = detections.classes
    records["class_confidence"] = detections.scores
    return records


def write_boxes(path: Path, windows: Sequence[np.ndarray]) -> None:
    """Write the boxes of a recording as one file in time order, whole or not at all.

    Args:
        path: of the file; folders it lacks are made.
        windows: ``BOX_DTYPE [n]`` of each window.
    """
    records = np.concatenate([*windows, np.empty(0, BOX_DTYPE)])
    records = records[np.argsort(records["t"], kind="stable")]
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        np.save(file, records, allow_pickle=False)
