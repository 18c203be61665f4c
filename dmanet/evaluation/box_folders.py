"""Scoring boxes in files: two folders of Prophesee's format, labels and anybody's detections."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dmanet.detection.found import Detections, Labels
from dmanet.evaluation.coco import pair_by_time
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.motion import strata_by_track, with_strata
from dmanet.evaluation.prophesee import BOX_DTYPE
from dmanet.evaluation.protocols import ProtocolResult, protocol_of
from dmanet.evaluation.scoring import GridWindows, SensorWindows, score_grid, score_sensor
from pipeline.errors import DataError, UsageError
from pipeline.ingest.boxes import read_boxes
from pipeline.release.classes import DLUT, ClassMap
from pipeline.release.shards import WINDOW_US

_ENDING = "_bbox.npy"
_LATEST_US = 1 << 53


def evaluate_folders(
    truth: Path,
    found: Path,
    protocol_name: str,
    examination: Examination | None = None,
    on_recording: Callable[[], None] = lambda: None,
    class_map: ClassMap = DLUT,
) -> ProtocolResult:
    """Score one folder's boxes against another's.

    Files `NAME_bbox.npy` pair by their place below the folders.

    Under `prophesee` and `rvt` there is a window for each time of the labels, with the detections at
    most 50 ms away. Under `release` windows are the 50 ms of the clock, as its shards have them: the
    boxes at a track's first time in the window count, and overlaps are those of sensor pixels, which
    are those of any grid.

    Args:
        truth: folder of the labels.
        found: folder of the detections.
        protocol_name: one of :data:`dmanet.evaluation.protocols.PROTOCOLS`.
        examination: what to examine beside the rows; None for nothing.
        on_recording: called as each recording is read.
        class_map: what the numbers of the boxes' classes mean, and the rules that leave boxes out.

    Raises:
        UsageError: the protocol is unknown, there is no file of labels, or the folders' files differ.
        DataError: a file holds no such boxes.
    """
    protocol = protocol_of(protocol_name, class_map.classes, class_map)
    names = box_names(truth, found)

    def read(name: str) -> tuple[np.ndarray, np.ndarray]:
        file = f"{name}{_ENDING}"
        pair = _read(found / file, class_map, scored=True), _read(truth / file, class_map)
        on_recording()
        return pair

    if protocol.boxes == "grid":
        grids = [_by_clock(name, *read(name)) for name in names]
        result = score_grid(grids, class_map.classes, protocol, examination)
        windows = "50 ms of the clock"
    else:
        tolerance = protocol.time_tolerance_us or 0
        sensors = [_by_label_times(name, *read(name), tolerance) for name in names]
        result = score_sensor(sensors, class_map.classes, protocol, examination)
        windows = f"times of the labels, detections {tolerance / 1000:g} ms around"
    return result.with_conditions(
        boxes="files",
        recordings=len(names),
        windows=windows,
        labels=class_map.name,
        classes=list(class_map.classes),
    )


def box_names(truth: Path, found: Path) -> list[str]:
    """The recordings of two folders, sorted.

    Raises:
        UsageError: there is none, or one folder has a file that the other lacks.
    """
    true, detected = (
        {str(path.relative_to(folder))[: -len(_ENDING)] for path in folder.rglob(f"*{_ENDING}")}
        for folder in (truth, found)
    )
    if not true:
        raise UsageError(f"{truth}: has no file NAME{_ENDING}; give the folder of the labels.")
    for folder, missing, other in (
        (found, true - detected, truth),
        (truth, detected - true, found),
    ):
        if missing:
            raise UsageError(
                f"{folder}: lacks {min(missing)}{_ENDING} and {len(missing) - 1} more that {other} has; "
                "a recording without boxes has an empty file."
                if len(missing) > 1
                else f"{folder}: lacks {min(missing)}{_ENDING}, which {other} has; a recording without "
                "boxes has an empty file."
            )
    return sorted(true)


def _read(path: Path, class_map: ClassMap, scored: bool = False) -> np.ndarray:
    """The boxes of a file by time, ``BOX_DTYPE [n]``; of detections every value must be sound."""
    boxes = read_boxes(path)
    if boxes is None:
        raise UsageError(f"{path}: is no longer there; evaluate again.")
    names = class_map.classes
    if len(boxes) and boxes["class_id"].max() >= len(names):
        raise DataError(
            f"{path}: a box has the class {boxes['class_id'].max()}, and classes of {class_map.name} "
            f"are numbered 0 to {len(names) - 1} ({', '.join(names)}); name its data set with --labels."
        )
    if len(boxes) and boxes["t"].max() >= _LATEST_US:
        raise DataError(f"{path}: a box is at {boxes['t'].max()} µs; no recording is so long.")
    records = np.zeros(len(boxes), BOX_DTYPE)
    for field in BOX_DTYPE.names or ():
        records[field] = boxes[field]
    finite = np.all([np.isfinite(records[name]) for name in "xywh"], axis=0)
    if not scored:
        return records[finite]
    scores = records["class_confidence"]
    if not finite.all():
        raise DataError(f"{path}: a detection's place or size is not a finite number.")
    if len(scores) and not (scores.min() >= 0 and 0 < scores.max() <= 1):
        raise DataError(
            f"{path}: its class_confidence goes from {scores.min():g} to {scores.max():g}; scores are 0 "
            "to 1, and some are above 0."
        )
    return records


def _by_label_times(
    name: str, found: np.ndarray, true: np.ndarray, tolerance_us: int
) -> SensorWindows:
    windows = pair_by_time(found, with_strata(true, strata_by_track(true)), tolerance_us)
    return SensorWindows(name, np.unique(true["t"]), *windows)


def _by_clock(name: str, found: np.ndarray, true: np.ndarray) -> GridWindows:
    """Windows of the clock that have a box of either kind."""
    true = true[_first_of_track(true)]
    slots = np.unique(np.concatenate([found["t"], true["t"]]) // WINDOW_US)

    def windows(records: np.ndarray) -> list[np.ndarray]:
        return _split_at(records["t"], records, slots)

    return GridWindows(
        name,
        slots * WINDOW_US,
        (1.0, 1.0),
        [
            Detections(_corners(w), w["class_confidence"], w["class_id"].astype(np.int64))
            for w in windows(found)
        ],
        [Labels(_corners(w), w["class_id"].astype(np.int64)) for w in windows(true)],
        _split_at(true["t"], strata_by_track(true), slots),
    )


def _split_at(times: np.ndarray, rows: np.ndarray, slots: np.ndarray) -> list[np.ndarray]:
    """Rows in the order of their ``times`` (µs), by windows of the clock: those of each slot."""
    edges = np.searchsorted(times // WINDOW_US, slots, side="left")
    return np.split(rows, edges[1:]) if len(slots) else []


def _first_of_track(records: np.ndarray) -> np.ndarray:
    """Boxes, in time order, at the first time of their track in their window: bool ``[n]``."""
    slot = records["t"] // WINDOW_US
    keys = np.stack([slot, records["track_id"].astype(np.int64)], axis=1)
    _, first, of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return records["t"] == records["t"][first][of.reshape(-1)]


def _corners(records: np.ndarray) -> np.ndarray:
    x, y, w, h = (records[name] for name in "xywh")
    return np.stack([x, y, x + w, y + h], axis=1)
