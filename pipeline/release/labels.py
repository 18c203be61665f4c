"""Boxes before training: the release's rules from sensor pixels to network-frame corners."""

from dataclasses import dataclass

import numpy as np

from pipeline.defects import Defect
from pipeline.release.shards import SENSOR_SIZE, WINDOW_US

CLASS_NAMES = (
    "pedestrian",
    "two wheeler",
    "car",
    "truck",
    "bus",
    "traffic sign",
    "traffic light",
)
RELEASE_MAX_BOXES = 60  # the release pads to 60 rows and fails on the next one; here only a count


@dataclass(frozen=True)
class LabelRules:
    """What decides which boxes are kept and in which frame they are expressed.

    Attributes:
        sensor: Width and height in pixels.
        grid: Columns and rows of the network's frame, in cells.
        min_diagonal: Shortest diagonal of a box after cropping, in sensor pixels.
        min_side: Shortest side of a box after cropping, in sensor pixels.
        classes: Class numbers to keep, in output order: class ``classes[i]`` becomes ``i``.
    """

    sensor: tuple[int, int] = SENSOR_SIZE
    grid: tuple[int, int] = (512, 512)
    min_diagonal: float = 60.0
    min_side: float = 20.0
    classes: tuple[int, ...] = tuple(range(len(CLASS_NAMES)))


@dataclass(frozen=True)
class KeptBoxes:
    """Boxes that survive the rules, in the order of the records.

    Attributes:
        boxes: float32 ``[K, 4]``, x1, y1, x2, y2 in grid units.
        classes: int64 ``[K]``, index into the rules' ``classes``.
        rows: int64 ``[K]``, the record each box came from.
    """

    boxes: np.ndarray
    classes: np.ndarray
    rows: np.ndarray

    def without(self, left_out: np.ndarray) -> "KeptBoxes":
        """Those whose record is not in ``left_out``, bool ``[M]`` over all records."""
        stay = ~left_out[self.rows]
        return (
            self if stay.all() else KeptBoxes(self.boxes[stay], self.classes[stay], self.rows[stay])
        )


def apply_label_rules(
    labels: np.ndarray, rules: LabelRules, begins: np.ndarray | int | None = None
) -> KeptBoxes:
    """Crop to the sensor, drop what is wrong or too small, scale to the grid.

    The order is the release's: a box wider than the sensor is dropped before cropping, sizes are tested
    after cropping.

    Args:
        labels: ``LABEL_DTYPE [M]``.
        rules: The rules, with the recording's own sensor.
        begins: Begin of the boxes' windows in µs, of all or int64 ``[M]``; boxes of another time are
            dropped. ``None`` or a negative number where it is not known.
    """
    width, height = rules.sensor
    x, y, w, h = (labels[name].astype(np.float64) for name in "xywh")
    with np.errstate(invalid="ignore"):
        keep = np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h) & (w <= width)
        w, x = np.where(x < 0, w + x, w), np.maximum(x, 0)
        h, y = np.where(y < 0, h + y, h), np.maximum(y, 0)
        w = np.where(x + w > width, width - x, w)
        h = np.where(y + h > height, height - y, h)
        keep &= (w > 0) & (h > 0) & (x < width) & (y <= height)
        keep &= (w**2 + h**2 >= rules.min_diagonal**2) & (w >= rules.min_side)
        keep &= h >= rules.min_side
    keep &= _in_time(labels["t"], begins)
    new_class = np.full(256, -1, np.int64)
    new_class[list(rules.classes)] = np.arange(len(rules.classes))
    classes = new_class[labels["class_id"]]
    rows = np.flatnonzero(keep & (classes >= 0))
    scale = np.array([rules.grid[0] / width, rules.grid[1] / height] * 2)
    x, y, w, h = (side[rows] for side in (x, y, w, h))
    corners = np.stack([x, y, x + w, y + h], axis=1)  # [K, 4] sensor pixels
    return KeptBoxes((corners * scale).astype(np.float32), classes[rows], rows)


def _in_time(times: np.ndarray, begins: np.ndarray | int | None) -> np.ndarray:
    """Which times lie in their windows, their ends included, bool ``[M]``.

    The time 0 lies in any: some tools write boxes without a time.
    """
    if begins is None:
        return np.ones(len(times), bool)
    t = np.minimum(times, np.uint64(1 << 62)).astype(np.int64)
    begins = np.asarray(begins, np.int64)
    return (begins < 0) | (t == 0) | ((t >= begins) & (t <= begins + WINDOW_US))


def label_defects(
    labels: np.ndarray, sensor: tuple[int, int], begin: int | None = None
) -> dict[Defect, int]:
    """How many boxes of one window show each known fault; only faults that occur are listed.

    Args:
        labels: ``LABEL_DTYPE [M]``.
        sensor: Width and height in pixels.
        begin: Of the window in µs; ``None`` where it is not known.
    """
    width, height = sensor
    x, y, w, h = (labels[name].astype(np.float64) for name in "xywh")
    confidence = labels["class_confidence"]
    finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h)
    with np.errstate(invalid="ignore"):
        outside = (x < 0) | (y < 0) | (x + w > width) | (y + h > height)
        counts: dict[Defect, int] = {
            Defect.BOX_NOT_FINITE: int((~finite).sum()),
            Defect.BOX_TOO_WIDE: int((finite & (w > width)).sum()),
            Defect.BOX_OUT_OF_FRAME: int((finite & outside & (w <= width)).sum()),
            Defect.BOX_OUT_OF_TIME: int((~_in_time(labels["t"], begin)).sum()),
            Defect.WRONG_CLASS: int((labels["class_id"] >= len(CLASS_NAMES)).sum()),
            Defect.BAD_CONFIDENCE: int((~((confidence >= 0) & (confidence <= 1))).sum()),
            Defect.OVER_60_BOXES: max(0, len(labels) - RELEASE_MAX_BOXES),
        }
    return {defect: n for defect, n in counts.items() if n}
