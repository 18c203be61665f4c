"""A recording as it is scored: its windows' boxes in one order, after a protocol's filters.

Everything that examines a score (:mod:`dmanet.evaluation.examination`) works on this form.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dmanet.detection.found import Detections, Labels
from dmanet.evaluation.overlaps import corner_overlaps, side_overlaps
from dmanet.evaluation.protocols import Protocol


@dataclass(frozen=True)
class WindowBoxes:
    """Boxes of a recording by window, class and descending score; equal ones in their first order.

    Attributes:
        window: int64 ``[n]``, ascending, places in :class:`ScoredRecording`'s windows.
        boxes: ``[n, 4]``: float64 x, y, width, height in sensor pixels where the protocol scores these,
            else float32 corners x1, y1, x2, y2 in grid units.
        sides: float64 ``[n, 2]``, width and height in sensor pixels.
        classes: int64 ``[n]``, places in the scored classes.
        scores: float64 ``[n]``, 0…1; 1 for labels.
        strata: bool ``[n, Q]``, the strata of motion of labels (:mod:`dmanet.evaluation.motion`); None
            where nobody knows, and for detections.
    """

    window: np.ndarray
    boxes: np.ndarray
    sides: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    strata: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.window)

    def rows(self, rows: np.ndarray) -> "WindowBoxes":
        """Some of them, in the order of ``rows``."""
        return WindowBoxes(
            self.window[rows],
            self.boxes[rows],
            self.sides[rows],
            self.classes[rows],
            self.scores[rows],
            None if self.strata is None else self.strata[rows],
        )

    def in_order(self) -> "WindowBoxes":
        """The same boxes in the order that the class promises."""
        return self.rows(np.lexsort((-self.scores, self.classes, self.window)))


@dataclass(frozen=True)
class ScoredRecording:
    """One recording under one protocol.

    Attributes:
        name: of the recording.
        numbers: int64 ``[W]``, which of the recording's windows are scored, ascending.
        times: int64 ``[W]``, µs, when each begins or, for box files, when its labels are.
        found: detections that pass the protocol's filters.
        true: labels that do.
    """

    name: str
    numbers: np.ndarray
    times: np.ndarray
    found: WindowBoxes
    true: WindowBoxes


@dataclass(frozen=True)
class Pairs:
    """Each detection with each label of its window.

    Attributes:
        detection: int64 ``[P]``, ascending.
        label: int64 ``[P]``, ascending for one detection.
        overlap: float64 ``[P]``, by the protocol's own arithmetic.
        starts: int64 ``[n + 1]``, where each detection's pairs begin.
    """

    detection: np.ndarray
    label: np.ndarray
    overlap: np.ndarray
    starts: np.ndarray


def pairs_of(recording: ScoredRecording) -> Pairs:
    """Every pair of a detection and a label in one window, with its overlap."""
    found, true = recording.found, recording.true
    first = np.searchsorted(true.window, found.window, side="left")
    counts = np.searchsorted(true.window, found.window, side="right") - first
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    detection = np.repeat(np.arange(len(found)), counts)
    label = np.arange(starts[-1]) - starts[detection] + first[detection]
    overlaps = corner_overlaps if found.boxes.dtype == np.float32 else side_overlaps
    return Pairs(
        detection,
        label,
        overlaps(found.boxes[detection], true.boxes[label]).astype(np.float64),
        starts,
    )


def scored_records(
    name: str,
    windows: Sequence[tuple[int, int, np.ndarray, np.ndarray]],
    class_ids: Sequence[int],
    protocol: Protocol,
) -> ScoredRecording:
    """A recording in sensor pixels, as COCO's evaluation takes it.

    Args:
        name: of the recording.
        windows: number, time in µs, detections and labels of each scored window, filtered, as
            :data:`dmanet.evaluation.prophesee.BOX_DTYPE`; labels may have their ``strata`` beside.
        class_ids: the scored classes.
        protocol: of a class in a window its ``max_detections`` best are taken.
    """
    found = _of_records([window[2] for window in windows], class_ids).in_order()
    if protocol.max_detections is not None:
        found = found.rows(_rank_in_group(found) < protocol.max_detections)
    return ScoredRecording(
        name,
        np.array([window[0] for window in windows], np.int64),
        np.array([window[1] for window in windows], np.int64),
        found,
        _of_records([window[3] for window in windows], class_ids).in_order(),
    )


def scored_grid(
    name: str,
    times: np.ndarray,
    detections: Sequence[Detections],
    labels: Sequence[Labels],
    scale: tuple[float, float],
    protocol: Protocol,
    strata: Sequence[np.ndarray] | None = None,
) -> ScoredRecording:
    """A recording in grid units, as the release scores it.

    Args:
        name: of the recording.
        times: int64 ``[W]``, µs, when each window begins.
        detections: of each window.
        labels: of each window.
        scale: sensor pixels of a cell, along x and y.
        protocol: whose score threshold detections must exceed.
        strata: bool ``[m, Q]`` of the labels of each window; None where nobody knows.
    """
    kept = [window.above(protocol.score_threshold) for window in detections]
    ones = [np.ones(len(window.classes), np.float32) for window in labels]
    truth = [Detections(w.boxes, one, w.classes) for w, one in zip(labels, ones, strict=True)]
    true = _of_corners(truth, scale)
    if strata:
        true = replace(true, strata=np.concatenate(strata))
    return ScoredRecording(
        name,
        np.arange(len(times)),
        times.astype(np.int64),
        _of_corners(kept, scale).in_order(),
        true.in_order(),
    )


def labels_digest(recordings: Sequence[ScoredRecording]) -> str:
    """Sixteen digits that tell whether two results were scored against the same labels."""
    digest = hashlib.sha256()
    for recording in recordings:
        true = recording.true
        digest.update(f"{recording.name}\0{len(recording.numbers)}\0{len(true)}\0".encode())
        for column in (recording.numbers[true.window], true.classes, true.boxes):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:16]


def _rank_in_group(boxes: WindowBoxes) -> np.ndarray:
    """The place of each box among those of its window and class, from 0: int64 ``[n]``."""
    new = np.ones(len(boxes), bool)
    new[1:] = (np.diff(boxes.window) != 0) | (np.diff(boxes.classes) != 0)
    starts = np.flatnonzero(new)
    return np.arange(len(boxes)) - starts[np.cumsum(new) - 1]


def _of_records(windows: Sequence[np.ndarray], class_ids: Sequence[int]) -> WindowBoxes:
    counts = [len(window) for window in windows]
    fields = {
        name: np.concatenate([np.zeros(0), *(w[name].astype(np.float64) for w in windows)])
        for name in ("x", "y", "w", "h", "class_id", "class_confidence")
    }
    ids = np.asarray(class_ids, np.int64)
    order = np.argsort(ids)
    places = np.searchsorted(ids[order], fields["class_id"].astype(np.int64))
    knows = len(windows) > 0 and all("strata" in (w.dtype.names or ()) for w in windows)
    return WindowBoxes(
        np.repeat(np.arange(len(windows)), counts),
        np.stack([fields[name] for name in "xywh"], axis=1),
        np.stack([fields["w"], fields["h"]], axis=1),
        order[places] if len(places) else np.zeros(0, np.int64),
        fields["class_confidence"],
        np.concatenate([window["strata"] for window in windows]) if knows else None,
    )


def _of_corners(windows: Sequence[Detections], scale: tuple[float, float]) -> WindowBoxes:
    corners = np.concatenate([np.zeros((0, 4), np.float32), *(w.boxes for w in windows)])
    corners = corners.astype(np.float32)
    return WindowBoxes(
        np.repeat(np.arange(len(windows)), [len(window) for window in windows]),
        corners,
        (corners[:, 2:] - corners[:, :2]).astype(np.float64) * scale,
        np.concatenate([np.zeros(0, np.int64), *(w.classes for w in windows)]).astype(np.int64),
        np.concatenate([np.zeros(0), *(w.scores for w in windows)]).astype(np.float64),
    )
