"""The `release` protocol's own measures: which detections are right, and average precision."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmanet.detection.found import Detections, Labels
from dmanet.evaluation.overlaps import corner_overlaps
from dmanet.evaluation.protocols import PROTOCOLS, ClassRow, Protocol, ProtocolResult
from pipeline.errors import DataError

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10, dtype=np.float32)
_CONFIDENCES = np.linspace(0, 1, 1000)
_RECALLS = np.linspace(0, 1, 101)
_TINY = 1e-16  # keeps 0 / 0 at 0 and is lost in every other division


@dataclass(frozen=True)
class PrecisionRecall:
    """What :func:`average_precision` finds for the K classes that have labels.

    Precision, recall and F1 are those at the confidence where the classes' mean F1 at IoU 0.5 is
    largest.

    Attributes:
        classes: int64 ``[K]``, ascending.
        precision: float64 ``[K]``.
        recall: float64 ``[K]``.
        f1: float64 ``[K]``.
        ap: float64 ``[K, 10]`` per IoU threshold 0.50…0.95.
    """

    classes: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    ap: np.ndarray


def release_result(
    detections: Sequence[Detections],
    labels: Sequence[Labels],
    class_names: Sequence[str],
    protocol: Protocol = PROTOCOLS["release"],
) -> ProtocolResult:
    """Score windows by the release's rules.

    Args:
        detections: of each window, boxes in grid units; those that the protocol's score threshold
            does not let pass are left out.
        labels: of the same windows.
        class_names: of the network's outputs.
        protocol: whose threshold and name.

    Raises:
        DataError: a score is not a number, or the two sequences differ in length.
    """
    if len(detections) != len(labels):
        raise DataError(f"{len(detections)} windows of detections for {len(labels)} of labels.")
    for window in detections:
        if not np.isfinite(window.scores).all():
            raise DataError("A detection's score is not a finite number; these cannot be ranked.")
    detections = [window.above(protocol.score_threshold) for window in detections]
    correct = [match_window(*window) for window in zip(detections, labels, strict=True)]
    label_classes = np.concatenate([np.zeros(0, np.int64), *(w.classes for w in labels)])
    found = average_precision(
        np.concatenate([np.zeros((0, len(IOU_THRESHOLDS)), bool), *correct]),
        np.concatenate([np.zeros(0, np.float32), *(window.scores for window in detections)]),
        np.concatenate([np.zeros(0, np.int64), *(window.classes for window in detections)]),
        label_classes,
    )
    windows = len(labels)
    per_class = {
        int(c): (found.precision[k], found.recall[k], found.ap[k, 0], found.ap[k].mean())
        for k, c in enumerate(found.classes)
    }
    mean = np.mean(list(per_class.values()), axis=0) if per_class else None
    rows = [_row("all", windows, len(label_classes), mean)]
    rows += [
        _row(name, windows, int(np.count_nonzero(label_classes == c)), per_class.get(c))
        for c, name in enumerate(class_names)
    ]
    return ProtocolResult(protocol, tuple(rows))


def _row(name: str, windows: int, labels: int, values: Sequence[float] | None) -> ClassRow:
    numbers = [None] * 4 if values is None else [float(value) for value in values]
    return ClassRow(name, windows, labels, *numbers)


def match_window(detections: Detections, labels: Labels) -> np.ndarray:
    """Which detections of a window are right, at each IoU threshold.

    Class by class, best score first: a detection belongs to the label of its class that it overlaps
    most, if by more than 0.5 and if no better detection has taken that label; it does not turn to
    its second-best label. It is right at every threshold its overlap exceeds.

    Returns:
        bool ``[n, 10]``, in the order of the detections.
    """
    correct = np.zeros((len(detections), len(IOU_THRESHOLDS)), bool)
    for class_index in np.unique(labels.classes):
        boxes = labels.boxes[labels.classes == class_index]
        rows = np.flatnonzero(detections.classes == class_index)
        rows = rows[np.argsort(-detections.scores[rows], kind="stable")]
        iou = _overlaps(detections.boxes[rows], boxes)  # [n, m]
        taken = np.zeros(len(boxes), bool)
        for row, overlaps in zip(rows, iou, strict=True):
            best = overlaps.argmax()
            if overlaps[best] > IOU_THRESHOLDS[0] and not taken[best]:
                taken[best] = True
                correct[row] = overlaps[best] > IOU_THRESHOLDS
    return correct


def average_precision(
    correct: np.ndarray, scores: np.ndarray, classes: np.ndarray, label_classes: np.ndarray
) -> PrecisionRecall:
    """Precision, recall and AP of all windows' detections together.

    The curves of precision and recall over the confidence are
    interpolated at 1000 confidences. AP is the area under the precision envelope: from (0, 1),
    falling to 0 within 0.01 after the last recall, sampled at 101 recalls, trapezoids between.

    Args:
        correct: bool ``[N, 10]``, which detections are right, see :func:`match_window`.
        scores: ``[N]``, 0…1.
        classes: int64 ``[N]`` of the detections.
        label_classes: int64 ``[M]``.
    """
    order = np.argsort(-scores, kind="stable")
    correct, scores, classes = correct[order], scores[order], classes[order]
    present, label_counts = np.unique(label_classes, return_counts=True)
    precision = np.zeros((len(present), len(_CONFIDENCES)))
    recall = np.zeros_like(precision)
    ap = np.zeros((len(present), len(IOU_THRESHOLDS)))
    for k, (class_index, count) in enumerate(zip(present, label_counts, strict=True)):
        own = classes == class_index
        if not own.any():
            continue
        right = correct[own].cumsum(axis=0)  # [n, 10]
        recalls = right / (count + _TINY)
        precisions = right / np.arange(1, len(right) + 1)[:, None]
        # np.interp wants ascending positions: the confidences are negated.
        at = (-_CONFIDENCES, -scores[own])
        recall[k] = np.interp(*at, recalls[:, 0], left=0)
        precision[k] = np.interp(*at, precisions[:, 0], left=1)
        ap[k] = [_area(recalls[:, i], precisions[:, i]) for i in range(ap.shape[1])]
    f1 = 2 * precision * recall / (precision + recall + _TINY)
    best = f1.mean(axis=0).argmax() if len(present) else 0
    return PrecisionRecall(
        present.astype(np.int64), precision[:, best], recall[:, best], f1[:, best], ap
    )


def _area(recall: np.ndarray, precision: np.ndarray) -> float:
    recall = np.concatenate([[0.0], recall, [recall[-1] + 0.01]])
    precision = np.concatenate([[1.0], precision, [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.trapezoid(np.interp(_RECALLS, recall, envelope), _RECALLS))


def _overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair, in float32: ``[n, 4]``, ``[m, 4]`` → ``[n, m]``."""
    return corner_overlaps(first.astype(np.float32)[:, None], second.astype(np.float32)[None, :])
