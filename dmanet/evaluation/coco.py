"""COCO average precision over windows: the `prophesee` and `rvt` protocols."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from dmanet.evaluation.protocols import ClassRow, Protocol, ProtocolResult
from pipeline.errors import DataError, UsageError

_STATS = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip


@dataclass(frozen=True)
class CocoPrecision:
    """COCO's numbers.

    Attributes:
        stats: float64 ``[12]`` in COCO's usual order; −1: nothing to score.
        ap: float64 ``[K, 10]`` per class and IoU threshold 0.50…0.95; NaN: a class without labels.
    """

    stats: np.ndarray
    ap: np.ndarray


def coco_result(
    detections: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    class_names: Sequence[str],
    protocol: Protocol,
) -> ProtocolResult:
    """Score windows by COCO's average precision.

    The protocol's filters and classes are applied here, to detections and labels; windows without
    labels after that are not scored. Network outputs pair by their window; separate files through
    :func:`pair_by_time`.

    Args:
        detections: for each window records with the fields of
            :data:`dmanet.evaluation.prophesee.BOX_DTYPE`, in sensor pixels.
        labels: the same windows' ground truth.
        class_names: of the records' ``class_id``.
        protocol: decides the filters and classes.

    Raises:
        DataError: a detection has a value that is not a finite number, or the sequences differ in
            length.
        UsageError: a class of the protocol is not among ``class_names``.
    """
    if len(detections) != len(labels):
        raise DataError(f"{len(detections)} windows of detections for {len(labels)} of labels.")
    names = tuple(class_names) if protocol.classes is None else protocol.classes
    if missing := [name for name in names if name not in class_names]:
        raise UsageError(
            f"The {protocol.name} protocol scores {', '.join(missing)}, which the data does not "
            f"have (it has {', '.join(class_names)}); choose another protocol."
        )
    class_ids = [list(class_names).index(name) for name in names]
    _require_numbers(detections)
    scored = [window[1:] for window in filtered_windows(detections, labels, class_ids, protocol)]
    precision = coco_average_precision(
        [found for found, _ in scored], [truth for _, truth in scored], class_ids
    )
    counts = [sum(int(np.sum(t["class_id"] == c)) for _, t in scored) for c in class_ids]
    rows = [_row("all", len(scored), sum(counts), precision.stats[1], precision.stats[0])]
    for name, count, ap in zip(names, counts, precision.ap, strict=True):
        rows.append(_row(name, len(scored), count, ap[0], ap.mean()))
    return ProtocolResult(
        protocol,
        tuple(rows),
        summary={n: _number(v) for n, v in zip(_STATS, precision.stats, strict=True)},
    )


def filtered_windows(
    detections: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    class_ids: Sequence[int],
    protocol: Protocol,
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """What the protocol scores of some windows: number, detections and labels of those with labels."""
    scored = []
    for number, (found, truth) in enumerate(zip(detections, labels, strict=True)):
        truth = truth[_passes(truth, protocol, class_ids)]
        if len(truth):
            found = found[_passes(found, protocol, class_ids)]
            found = found[found["class_confidence"] > protocol.score_threshold]
            scored.append((number, found, truth))
    return scored


def pair_by_time(
    detections: np.ndarray, labels: np.ndarray, tolerance_us: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """One recording's boxes as windows: one for each distinct time of the labels.

    A window has the labels of exactly that time and the detections at most ``tolerance_us`` before
    or after it, both ends included (Prophesee's evaluation). Labels closer than the tolerance
    therefore share detections, which then count as false in all but one window: label times must
    be more than ``tolerance_us`` apart for a fair score.

    Args:
        detections: ``BOX_DTYPE [n]``, in any order.
        labels: ``BOX_DTYPE [m]``, in any order.
        tolerance_us: µs.

    Returns:
        Detections and labels of each window.
    """
    detections = detections[np.argsort(detections["t"], kind="stable")]
    labels = labels[np.argsort(labels["t"], kind="stable")]
    times = np.unique(labels["t"].astype(np.int64))
    found_at, labelled_at = detections["t"].astype(np.int64), labels["t"].astype(np.int64)

    def slices(at: np.ndarray, records: np.ndarray, reach: int) -> list[np.ndarray]:
        starts = np.searchsorted(at, times - reach, side="left")
        ends = np.searchsorted(at, times + reach, side="right")
        return [records[start:end] for start, end in zip(starts, ends, strict=True)]

    return slices(found_at, detections, tolerance_us), slices(labelled_at, labels, 0)


def coco_average_precision(
    detections: Sequence[np.ndarray], labels: Sequence[np.ndarray], class_ids: Sequence[int]
) -> CocoPrecision:
    """COCO's bounding-box evaluation, at most 100 detections of a class in a window.

    Args:
        detections: records of each window as in :func:`coco_result`.
        labels: the same windows' ground truth.
        class_ids: the classes to score; boxes of others are left out. ``ap`` has a row for each.

    Raises:
        DataError: a detection has a value that is not a finite number.
    """
    _require_numbers(detections)
    truth, found = _annotations(labels, class_ids), _annotations(detections, class_ids)
    if not truth:
        return CocoPrecision(np.full(len(_STATS), -1.0), np.full((len(class_ids), 10), np.nan))
    frame = {
        "images": [{"id": window} for window in range(1, len(labels) + 1)],
        "categories": [{"id": int(class_id) + 1} for class_id in class_ids],
    }
    evaluation = COCOeval_faster(
        COCO({**frame, "annotations": truth}), COCO({**frame, "annotations": found}), "bbox"
    )
    evaluation.run()
    # [IoU, recall, class, all areas, 100 detections]; the classes come in ascending order
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    ap = np.where(precision > -1, precision, np.nan).mean(axis=1).T  # [K, 10]
    position = np.argsort(np.argsort(class_ids))
    return CocoPrecision(np.asarray(evaluation.stats[: len(_STATS)]), ap[position])


def _require_numbers(detections: Sequence[np.ndarray]) -> None:
    for records in detections:
        for name in ("x", "y", "w", "h", "class_confidence"):
            if not np.isfinite(records[name]).all():
                raise DataError(
                    f"A detection's {name} is not a finite number; it cannot be scored."
                )


def _annotations(windows: Sequence[np.ndarray], class_ids: Sequence[int]) -> list[dict]:
    annotations: list[dict] = []
    for window, records in enumerate(windows, 1):
        boxes = np.stack([records[name] for name in "xywh"], axis=1).astype(np.float64)
        for row in np.flatnonzero(np.isin(records["class_id"], class_ids)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": window,
                    "category_id": int(records["class_id"][row]) + 1,
                    "bbox": boxes[row].tolist(),
                    "area": float(boxes[row, 2] * boxes[row, 3]),
                    "iscrowd": 0,
                    "score": float(records["class_confidence"][row]),
                }
            )
    return annotations


def _passes(records: np.ndarray, protocol: Protocol, class_ids: Sequence[int]) -> np.ndarray:
    """Which boxes the protocol scores: bool ``[n]``."""
    width, height = records["w"].astype(np.float64), records["h"].astype(np.float64)
    passes = np.isin(records["class_id"], class_ids)
    passes &= np.isfinite(records["x"]) & np.isfinite(records["y"])
    passes &= width**2 + height**2 >= protocol.min_diagonal**2
    passes &= (width >= protocol.min_side) & (height >= protocol.min_side)
    if protocol.after_us is not None:
        passes &= records["t"] > protocol.after_us
    return passes


def _row(name: str, windows: int, labels: int, map50: float, map50_95: float) -> ClassRow:
    return ClassRow(name, windows, labels, None, None, _number(map50), _number(map50_95))


def _number(value: float) -> float | None:
    """COCO's "nothing to score" (−1 or NaN) as None."""
    return None if np.isnan(value) or value < 0 else float(value)
