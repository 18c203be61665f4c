"""What stands behind a result's rows, as plain values that its JSON file holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Resampling:
    """How recordings are drawn.

    Attributes:
        count: of draws; 0 for none.
        seed: of the draws.
    """

    count: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Interval:
    """Where the middle 95 % of the draws lie.

    Attributes:
        low: its lower end.
        high: its upper end.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """What the draws say.

    Attributes:
        level: share of the draws in an interval.
        resampling: how they were drawn.
        of: the interval of each number, by the keys of :func:`dmanet.evaluation.headline.headline`;
            draws without the number (no label of the class among them) are left out.
        draws: the numbers themselves, to be compared with another result's; None where a draw has none.
    """

    level: float
    resampling: Resampling
    of: Mapping[str, Interval | None]
    draws: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """One class at the scores of :class:`Curves`.

    Attributes:
        name: of the class.
        precision: None where no detection reaches the score.
        recall: None where the class has no label.
        f1: their harmonic mean, 0 where both are 0; None where either is.
        best_score: the least of a thousand steps at which F1 is largest; None without labels.
        best_f1: F1 there.
    """

    name: str
    precision: tuple[float | None, ...]
    recall: tuple[float | None, ...]
    f1: tuple[float | None, ...]
    best_score: float | None
    best_f1: float | None


@dataclass(frozen=True)
class Curves:
    """Curves of all classes, thinned.

    Attributes:
        scores: at which they stand, 0…1.
        operating_score: where the classes' mean F1 is largest (classes without labels left out): at it
            the errors are counted.
        classes: a curve for each class.
    """

    scores: tuple[float, ...]
    operating_score: float
    classes: tuple[Curve, ...]


@dataclass(frozen=True)
class ReliabilityBin:
    """Detections of similar score.

    Attributes:
        lower: least score, excluded but in the first bin.
        upper: largest score, included.
        detections: in it.
        mean_score: of them; None without any.
        precision: share of them that is right; None without any.
    """

    lower: float
    upper: float
    detections: int
    mean_score: float | None
    precision: float | None


@dataclass(frozen=True)
class Calibration:
    """Scores beside what came true.

    Attributes:
        bins: of equal width, ascending.
        expected_error: mean distance of score and precision over the detections (ECE); None without any.
        largest_error: of a bin.
    """

    bins: tuple[ReliabilityBin, ...]
    expected_error: float | None
    largest_error: float | None


@dataclass(frozen=True)
class Confusion:
    """A matrix of counts.

    Attributes:
        names: of the classes, then "background".
        counts: a row for each label's class, last the detections without a label; a column for each
            class that was found, last the labels without a detection.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class WorstWindow:
    """One window and what is wrong in it.

    Attributes:
        recording: its id.
        window: its number in the recording.
        t: µs, when it begins or, for box files, when its labels are.
        labels: in it.
        missed: labels that no detection meant.
        wrong: detections that reach the score and are not right.
    """

    recording: str
    window: int
    t: int
    labels: int
    missed: int
    wrong: int


@dataclass(frozen=True)
class SizeRow:
    """Boxes of one range of sizes. None: it has no labels.

    Attributes:
        name: of the range.
        measure: ``area`` in px² or ``diagonal`` in px of the sensor.
        lower: end of the range.
        upper: end of the range; None for no bound.
        labels: in it.
        map50: mean over the classes that have labels in it.
        map50_95: the same over overlaps 0.50…0.95.
    """

    name: str
    measure: str
    lower: float
    upper: float | None
    labels: int
    map50: float | None
    map50_95: float | None


@dataclass(frozen=True)
class MotionRow:
    """Labels of some motion. None: there are none.

    Attributes:
        name: of the stratum, see :data:`dmanet.evaluation.motion.STRATA`.
        windows: that hold a label of it.
        labels: in it.
        map50: mean over the classes that have labels in it.
        map50_95: the same over overlaps 0.50…0.95.
    """

    name: str
    windows: int
    labels: int
    map50: float | None
    map50_95: float | None


@dataclass(frozen=True)
class RecordingRow:
    """One recording scored alone. None: the protocol does not define it, or there are no labels.

    Attributes:
        name: its id.
        windows: that were scored.
        labels: in them.
        detections: that passed the protocol's filters.
        precision: at the confidence that is best for this recording.
        recall: at the same confidence.
        map50: mean over the classes that have labels in it.
        map50_95: the same over overlaps 0.50…0.95.
    """

    name: str
    windows: int
    labels: int
    detections: int
    precision: float | None
    recall: float | None
    map50: float | None
    map50_95: float | None


@dataclass(frozen=True)
class Details:
    """Everything beside the rows.

    Attributes:
        labels: digest of the labels that were scored against.
        intervals: of every number; None where nothing was drawn: no resamples, or one recording.
        sizes: a row for each range of sizes.
        recordings: a row for each recording.
        curves: over the score.
        calibration: of the scores.
        confusion: of the classes, at the curves' operating score.
        errors: how many of each kind at that score, with ``right`` and ``missed``.
        errors_by_class: the same for each class: of the detections' class, ``missed`` of the labels'.
        worst: windows, the worst first.
        motion: a row for each stratum of motion; none where the data do not tell, and in files of
            earlier versions.
    """

    labels: str
    intervals: Intervals | None
    sizes: tuple[SizeRow, ...]
    recordings: tuple[RecordingRow, ...]
    curves: Curves
    calibration: Calibration
    confusion: Confusion
    errors: Mapping[str, int]
    errors_by_class: Mapping[str, Mapping[str, int]]
    worst: tuple[WorstWindow, ...]
    motion: tuple[MotionRow, ...] = ()
