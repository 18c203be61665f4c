"""Examining a score: sizes, recordings, intervals, curves, kinds of error, from one matching."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dmanet.evaluation.bootstrap import drawn_weights, intervals_of
from dmanet.evaluation.calibration import calibration_of
from dmanet.evaluation.confusion import confusion_of
from dmanet.evaluation.curves import curves_of
from dmanet.evaluation.details import Details, MotionRow, RecordingRow, Resampling, SizeRow
from dmanet.evaluation.error_kinds import KINDS, MISSED, Errors, errors_of
from dmanet.evaluation.headline import headline
from dmanet.evaluation.motion import STRATA, known_strata
from dmanet.evaluation.protocols import Protocol
from dmanet.evaluation.ranking import Ranking, rank
from dmanet.evaluation.scored import ScoredRecording, labels_digest
from dmanet.evaluation.sizes import SIZE_RANGES
from dmanet.evaluation.window_matches import Matches, match
from dmanet.evaluation.worst import worst_windows


@dataclass(frozen=True)
class Examination:
    """What to examine beside the rows.

    Attributes:
        resampling: how recordings are drawn for the intervals.
        worst: how many of the worst windows are named.
        motion: whether labels are told apart by their motion, for which a cache is read once more.
    """

    resampling: Resampling = field(default_factory=Resampling)
    worst: int = 12
    motion: bool = True


def examine(
    recordings: Sequence[ScoredRecording],
    names: Sequence[str],
    protocol: Protocol,
    examination: Examination,
) -> Details:
    """All details of a result.

    Memory grows with the detections: about 200 bytes for each, and for
    each pair with a label of its window 24.

    Args:
        recordings: as the protocol scores them.
        names: of the scored classes.
        protocol: whose rules.
        examination: what to do.
    """
    matches = [match(recording, protocol) for recording in recordings]
    rankings = [rank(matches, k) for k in range(len(names))]
    once = headline(rankings, names, np.ones((1, len(recordings)), np.int64), protocol)
    curves = curves_of(rankings, names)
    errors = [errors_of(one, curves.operating_score) for one in matches]
    intervals = None
    if len(recordings) > 1 and examination.resampling.count:
        weights = drawn_weights(len(recordings), examination.resampling)
        draws = headline(rankings, names, weights, protocol)
        intervals = intervals_of(draws, examination.resampling)
    by_class = {name: _counts(matches, errors, k) for k, name in enumerate(names)}
    return Details(
        labels=labels_digest(recordings),
        intervals=intervals,
        sizes=tuple(
            SizeRow(
                size.name,
                size.measure,
                size.lower,
                size.upper,
                int(sum(ranking.positives[s].sum() for ranking in rankings)),
                _number(once[f"size.{size.name}.map50"][0]),
                _number(once[f"size.{size.name}.map50_95"][0]),
            )
            for s, size in enumerate(SIZE_RANGES)
            if s
        ),
        recordings=tuple(_recording_row(one, names, protocol) for one in matches),
        curves=curves,
        calibration=calibration_of(rankings),
        confusion=confusion_of(matches, names, curves.operating_score),
        errors={
            kind: sum(counts[kind] for counts in by_class.values())
            for kind in ("right", *KINDS, MISSED)
        },
        errors_by_class=by_class,
        worst=worst_windows(matches, errors, examination.worst),
        motion=_motion_rows(matches, once),
    )


def _motion_rows(
    matches: Sequence[Matches], numbers: Mapping[str, np.ndarray]
) -> tuple[MotionRow, ...]:
    known = [(one.recording.true.window, known_strata(one.recording.true)) for one in matches]
    if not any(strata.any() for _, strata in known):
        return ()
    nothing = np.array([np.nan])
    return tuple(
        MotionRow(
            stratum.name,
            sum(len(np.unique(window[strata[:, q]])) for window, strata in known),
            int(sum(strata[:, q].sum() for _, strata in known)),
            *(
                _number(numbers.get(f"motion.{stratum.name}.{what}", nothing)[0])
                for what in ("map50", "map50_95")
            ),
        )
        for q, stratum in enumerate(STRATA)
    )


def _recording_row(matches: Matches, names: Sequence[str], protocol: Protocol) -> RecordingRow:
    rankings: list[Ranking] = [rank([matches], k) for k in range(len(names))]
    alone = headline(rankings, names, np.ones((1, 1), np.int64), protocol)
    recording = matches.recording
    values = [
        _number(alone[key][0]) if key in alone else None
        for key in ("all.precision", "all.recall", "all.map50", "all.map50_95")
    ]
    return RecordingRow(
        recording.name,
        len(recording.numbers),
        len(recording.true),
        len(recording.found),
        *values,
    )


def _counts(
    matches: Sequence[Matches], errors: Sequence[Errors], class_index: int
) -> dict[str, int]:
    """How many detections of a class are right or wrong in which way, and labels of it missed."""
    counts = dict.fromkeys(("right", *KINDS, MISSED), 0)
    for one, wrong in zip(matches, errors, strict=True):
        found, true = one.recording.found, one.recording.true
        kinds = wrong.kinds[found.classes[wrong.rows] == class_index]
        for kind, n in zip(KINDS, np.bincount(kinds, minlength=len(KINDS)).tolist(), strict=True):
            counts[kind] += n
        counts["right"] += int((found.classes[wrong.right] == class_index).sum())
        counts[MISSED] += int((wrong.missed & (true.classes == class_index)).sum())
    return counts


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
