"""Scoring recordings' boxes, wherever they come from, by a protocol; without torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from dmanet.detection.found import Detections, Labels
from dmanet.evaluation.coco import coco_result, filtered_windows
from dmanet.evaluation.examination import Examination, examine
from dmanet.evaluation.protocols import Protocol, ProtocolResult
from dmanet.evaluation.release import release_result
from dmanet.evaluation.scored import ScoredRecording, scored_grid, scored_records

T = TypeVar("T")


@dataclass(frozen=True)
class SensorWindows:
    """A recording's boxes in sensor pixels.

    Attributes:
        name: of the recording.
        times: int64 ``[W]``, µs, of its windows.
        found: detections of each window, :data:`dmanet.evaluation.prophesee.BOX_DTYPE`.
        true: labels of each window, the same, or :data:`dmanet.evaluation.motion.STRATA_DTYPE`.
    """

    name: str
    times: np.ndarray
    found: Sequence[np.ndarray]
    true: Sequence[np.ndarray]


@dataclass(frozen=True)
class GridWindows:
    """A recording's boxes in grid units.

    Attributes:
        name: of the recording.
        times: int64 ``[W]``, µs, of its windows.
        scale: sensor pixels of a cell, along x and y.
        found: detections of each window.
        true: labels of each window.
        strata: bool ``[m, Q]`` of the labels of each window, see :mod:`dmanet.evaluation.motion`; None
            where nobody knows.
    """

    name: str
    times: np.ndarray
    scale: tuple[float, float]
    found: Sequence[Detections]
    true: Sequence[Labels]
    strata: Sequence[np.ndarray] | None = None


def score_sensor(
    recordings: Sequence[SensorWindows],
    class_names: Sequence[str],
    protocol: Protocol,
    examination: Examination | None = None,
) -> ProtocolResult:
    """Score by COCO's average precision.

    Args:
        recordings: all of them.
        class_names: of the records' ``class_id``.
        protocol: decides the filters and classes.
        examination: what to examine beside the rows; None for nothing.

    Raises:
        DataError: a detection has a value that is not a finite number.
        UsageError: a class of the protocol is not among ``class_names``.
    """
    found = _joined(recording.found for recording in recordings)
    true = _joined(recording.true for recording in recordings)
    result = coco_result(found, true, class_names, protocol)
    if examination is None:
        return result
    names = list(protocol.classes or class_names)
    ids = [list(class_names).index(name) for name in names]

    def scored(recording: SensorWindows) -> ScoredRecording:
        windows = [
            (number, int(recording.times[number]), boxes, truth)
            for number, boxes, truth in filtered_windows(
                recording.found, recording.true, ids, protocol
            )
        ]
        return scored_records(recording.name, windows, ids, protocol)

    details = examine([scored(recording) for recording in recordings], names, protocol, examination)
    return replace(result, details=details)


def score_grid(
    recordings: Sequence[GridWindows],
    class_names: Sequence[str],
    protocol: Protocol,
    examination: Examination | None = None,
) -> ProtocolResult:
    """Score by the release's average precision.

    Args:
        recordings: all of them.
        class_names: of the boxes' classes.
        protocol: whose score threshold.
        examination: what to examine beside the rows; None for nothing.

    Raises:
        DataError: a score is not a number.
    """
    found = _joined(recording.found for recording in recordings)
    true = _joined(recording.true for recording in recordings)
    result = release_result(found, true, class_names, protocol)
    if examination is None:
        return result
    scored = [
        scored_grid(one.name, one.times, one.found, one.true, one.scale, protocol, one.strata)
        for one in recordings
    ]
    return replace(result, details=examine(scored, class_names, protocol, examination))


def _joined(recordings: Iterable[Sequence[T]]) -> list[T]:
    return [window for windows in recordings for window in windows]
