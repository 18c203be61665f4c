"""Boxes before training: the release's rules from sensor pixels to network-frame corners."""

from collections.abc import Sequence
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
        known: How many classes the data set has; numbers from there on are wrong.
    """

    sensor: tuple[int, int] = SENSOR_SIZE
    grid: tuple[int, int] = (512, 512)
    min_diagonal: float = 60.0
    min_side: float = 20.0
    classes: tuple[int, ...] = tuple(range(len(CLASS_NAMES)))
    known: int = len(CLASS_NAMES)


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
    labels: np.ndarray,
    sensor: tuple[int, int],
    begin: int | None = None,
    known_classes: int = len(CLASS_NAMES),
) -> dict[Defect, int]:
    """How many boxes of one window show each known fault; only faults that occur are listed.

    Args:
        labels: ``LABEL_DTYPE [M]``.
        sensor: Width and height in pixels.
        begin: Of the window in µs; ``None`` where it is not known.
        known_classes: How many the data set has.
    """
    begins = None if begin is None else np.array([begin])
    return label_defects_by_window(labels, [len(labels)], sensor, begins, known_classes)[0]


def label_defects_by_window(
    labels: np.ndarray,
    counts: Sequence[int],
    sensor: tuple[int, int],
    begins: np.ndarray | None = None,
    known_classes: int = len(CLASS_NAMES),
) -> list[dict[Defect, int]]:
    """:func:`label_defects` of each of several windows, looking at all their boxes at once.

    Args:
        labels: The boxes of one window after the other, ``LABEL_DTYPE [M]``.
        counts: How many boxes each window has.
        sensor: Width and height in pixels.
        begins: Of the windows in µs, int64; -1 where one is not known. ``None`` where none is.
        known_classes: How many the data set has.
    """
    windows = len(counts)
    found: list[dict[Defect, int]] = [{} for _ in range(windows)]
    if len(labels):
        window_of = np.repeat(np.arange(windows), counts)
        times = None if begins is None else begins[window_of]
        for defect, shows in _label_faults(labels, sensor, times, known_classes).items():
            if shows.any():
                hits = np.bincount(window_of[shows], minlength=windows)
                for window in np.flatnonzero(hits).tolist():
                    found[window][defect] = int(hits[window])
    for window, count in enumerate(counts):
        if count > RELEASE_MAX_BOXES:
            found[window][Defect.OVER_60_BOXES] = count - RELEASE_MAX_BOXES
    return found


def _label_faults(
    labels: np.ndarray, sensor: tuple[int, int], begins: np.ndarray | None, known_classes: int
) -> dict[Defect, np.ndarray]:
    """Which boxes show each fault, bool ``[M]``; ``begins`` as in :func:`apply_label_rules`."""
    width, height = sensor
    x, y, w, h = (labels[name].astype(np.float64) for name in "xywh")
    confidence = labels["class_confidence"]
    finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h)
    with np.errstate(invalid="ignore"):
        outside = (x < 0) | (y < 0) | (x + w > width) | (y + h > height)
        return {
            Defect.BOX_NOT_FINITE: ~finite,
            Defect.BOX_TOO_WIDE: finite & (w > width),
            Defect.BOX_OUT_OF_FRAME: finite & outside & (w <= width),
            Defect.BOX_OUT_OF_TIME: ~_in_time(labels["t"], begins),
            Defect.WRONG_CLASS: labels["class_id"] >= known_classes,
            Defect.BAD_CONFIDENCE: ~((confidence >= 0) & (confidence <= 1)),
        }
