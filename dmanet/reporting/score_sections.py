"""The sections of a run's page that an evaluation fills."""

from collections.abc import Iterator, Sequence

from dmanet.evaluation.bootstrap import FEW_RECORDINGS
from dmanet.evaluation.details import Details, Interval, RecordingRow
from dmanet.evaluation.protocols import ProtocolResult
from dmanet.reporting.details_text import TOO_FEW
from dmanet.reporting.run_sections import figure
from dmanet.reporting.score_charts import (
    confusion_table,
    counts_of_kinds,
    f1_over_score,
    ordered_values,
    precision_recall,
    reliability,
    values_with_intervals,
)
from pipeline.report.elements import Figure, Section, Table
from pipeline.text import counted, grouped

_MOST_CURVES = 6  # in one figure
_MOST_RECORDINGS = 200  # lines of the table
_NUMBERS = (
    ("precision", "precision"),
    ("recall", "recall"),
    ("map50", "mAP@0.5"),
    ("map50_95", "mAP@0.5:0.95"),
)


def score_section(result: ProtocolResult) -> Section:
    """The table of classes with intervals, and the curves over the score."""
    section = Section("scores", "Scores")
    protocol, conditions = result.protocol, result.conditions
    boxes = "grid units" if protocol.boxes == "grid" else "sensor pixels"
    definition = "the release" if protocol.average_precision == "release" else "COCO"
    section.text.append(
        f"Protocol {protocol.name}: boxes in {boxes}, average precision as {definition} defines it, "
        f"scores above {protocol.score_threshold:g}, NMS at {protocol.nms_iou:g}; on the "
        f"split {conditions.get('split', 'not named')}."
    )
    details = result.details
    intervals = details.intervals if details else None
    if details and intervals:
        section.text.append(
            f"In brackets: {intervals.level:.0%} intervals over recordings "
            f"({grouped(intervals.resampling.count)} draws, seed {intervals.resampling.seed})"
            f"{_few(details.recordings)}."
        )
    else:
        section.text.append(
            "There are no intervals: they need two recordings or more, and --resamples above 0."
        )
    of = intervals.of if intervals else {}
    section.tables.append(
        Table(
            "Scores of each class.",
            ("class", "windows", "labels", *(title for _, title in _NUMBERS)),
            [
                (
                    row.name,
                    grouped(row.windows),
                    grouped(row.labels),
                    *(
                        with_interval(getattr(row, key), of.get(f"{row.name}.{key}"))
                        for key, _ in _NUMBERS
                    ),
                )
                for row in result.rows
            ],
        )
    )
    if result.summary:
        section.tables.append(
            Table(
                "Further numbers of the protocol.",
                ("number", "value"),
                [
                    (name, with_interval(value, of.get(f"summary.{name}")))
                    for name, value in result.summary.items()
                ],
            )
        )
    if details:
        section.figures.extend(_curves(result, details))
    return section


def _curves(result: ProtocolResult, details: Details) -> Iterator[Figure]:
    labels = {row.name: row.labels for row in result.rows if row.name != "all" and row.labels}
    shown = sorted(labels, key=lambda name: -labels[name])[:_MOST_CURVES]
    if not shown:
        return
    of = ", ".join(shown) if len(shown) == len(labels) else f"{', '.join(shown)}, the most frequent"
    at = details.curves.operating_score
    yield Figure(
        precision_recall(details.curves, shown, f"Precision over recall at IoU 0.5: {of}"),
        "Precision and recall",
        f"At IoU 0.5; the dots stand at the score {at:.3g}, where the mean F1 is largest.",
    )
    best = ", ".join(
        f"{curve.name} {figure(curve.best_f1)} at {figure(curve.best_score)}"
        for curve in details.curves.classes
        if curve.name in shown
    )
    yield Figure(
        f1_over_score(details.curves, shown, f"F1 over the score: {of}"),
        "F1 over the score",
        f"Largest: {best}. The dotted line is the score {at:.3g}.",
    )
    calibration = details.calibration
    if calibration.expected_error is not None:
        yield Figure(
            reliability(
                calibration,
                f"Calibration: expected error {figure(calibration.expected_error)}, largest "
                f"{figure(calibration.largest_error)}",
            ),
            "Calibration",
            f"What share of the detections of a score is right; expected error "
            f"{figure(calibration.expected_error)}, largest {figure(calibration.largest_error)}. Bars: "
            "how many detections.",
        )


def error_section(details: Details) -> Section:
    """Kinds of error and the confusion of classes."""
    section = Section("errors", "Errors")
    section.text.append(
        f"Counted at the score {details.curves.operating_score:.3g}, where the mean F1 is largest."
    )
    counts = ", ".join(f"{name} {count}" for name, count in details.errors.items())
    section.figures.append(
        Figure(
            counts_of_kinds(details.errors, f"Kinds of error: {counts}"),
            "Kinds of error",
            "Detections by what is wrong with them, and the labels that were missed.",
        )
    )
    names, matrix = details.confusion.names, details.confusion.counts
    used = [k for k in range(len(names)) if any(matrix[k]) or any(row[k] for row in matrix)]
    if used:
        told = "; ".join(
            f"{names[k]} as " + ", ".join(f"{names[j]} {matrix[k][j]}" for j in used) for k in used
        )
        section.figures.append(
            Figure(
                confusion_table(details.confusion, used, f"Confusion, labels found as: {told}"),
                "Which class is taken for which",
                "A row for each label's class, coloured by shares of the row. Background: a label "
                "without a detection, or a detection without a label.",
            )
        )
    kinds = list(details.errors)
    section.tables.append(
        Table(
            "Kinds of error by class.",
            ("class", *kinds),
            [
                (name, *(grouped(row[kind]) for kind in kinds))
                for name, row in (("all", details.errors), *details.errors_by_class.items())
                if any(row.values())
            ],
        )
    )
    return section


def size_section(details: Details) -> Section:
    """Scores by the size of boxes."""
    section = Section("sizes", "Sizes")
    of = details.intervals.of if details.intervals else {}
    found = {
        row.name: (row.map50_95, of.get(f"size.{row.name}.map50_95"))
        for row in details.sizes
        if row.map50_95 is not None
    }
    if found:
        told = ", ".join(f"{name} {figure(value)}" for name, (value, _) in found.items())
        section.figures.append(
            Figure(
                values_with_intervals(found, "mAP@0.5:0.95", f"mAP@0.5:0.95 by size: {told}"),
                "mAP@0.5:0.95 by size",
                "In pixels of the sensor: COCO's areas, and octaves of the diagonal.",
            )
        )
    section.tables.append(
        Table(
            "Sizes, in pixels of the sensor.",
            ("size", "range", "labels", "mAP@0.5", "mAP@0.5:0.95"),
            [
                (
                    row.name,
                    f"{row.measure} {row.lower:g}…{'' if row.upper is None else f'{row.upper:g}'}",
                    grouped(row.labels),
                    with_interval(row.map50, of.get(f"size.{row.name}.map50")),
                    with_interval(row.map50_95, of.get(f"size.{row.name}.map50_95")),
                )
                for row in details.sizes
            ],
            text=2,
        )
    )
    return section


def recording_section(details: Details) -> Section:
    """Each recording alone, the lowest score first."""
    section = Section("by-recording", "Recordings")
    values = [row.map50_95 for row in details.recordings if row.map50_95 is not None]
    if len(values) > 1:
        told = f"from {min(values):.3f} to {max(values):.3f}"
        section.figures.append(
            Figure(
                ordered_values(values, "mAP@0.5:0.95", f"mAP@0.5:0.95 of recordings, {told}"),
                "mAP@0.5:0.95 of each recording",
                f"{counted(len(values), 'recording')} with labels, {told}.",
            )
        )
    rows = sorted(details.recordings, key=lambda r: (r.map50_95 is None, r.map50_95, r.name))
    cut = "" if len(rows) <= _MOST_RECORDINGS else f" The first {_MOST_RECORDINGS} are listed."
    section.tables.append(
        Table(
            f"Each recording alone, the lowest first.{cut}",
            ("recording", "windows", "labels", "detections", *(title for _, title in _NUMBERS)),
            [
                (
                    row.name,
                    grouped(row.windows),
                    grouped(row.labels),
                    grouped(row.detections),
                    *(figure(getattr(row, key)) for key, _ in _NUMBERS),
                )
                for row in rows[:_MOST_RECORDINGS]
            ],
        )
    )
    return section


def with_interval(value: float | None, interval: Interval | None) -> str:
    """A number in three decimals, with its interval in brackets where there is one."""
    if value is None or interval is None:
        return figure(value)
    return f"{value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _few(recordings: Sequence[RecordingRow]) -> str:
    return f", {TOO_FEW}" if len(recordings) < FEW_RECORDINGS else ""
