"""The details of a result as lines for people."""

from collections.abc import Iterator

from dmanet.evaluation.bootstrap import FEW_RECORDINGS
from dmanet.evaluation.details import Details, Interval
from dmanet.evaluation.protocols import ProtocolResult

_HEADLINE = (
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("map50", "mAP@0.5"),
    ("map50_95", "mAP@0.5:0.95"),
)
#: What stands beside intervals of few recordings.
TOO_FEW = f"of fewer than {FEW_RECORDINGS} recordings: wider in truth than it looks"
_LISTED = 5  # of the lowest recordings and worst windows


def details_text(result: ProtocolResult) -> str:
    """What stands under the table; empty without details."""
    if result.details is None:
        return ""
    parts = [_intervals, _sizes, _motion, _recordings, _errors, _confusion, _calibration, _worst]
    return "\n\n".join(text for part in parts if (text := "\n".join(part(result, result.details))))


def _intervals(result: ProtocolResult, details: Details) -> Iterator[str]:
    found = details.intervals
    if found is None:
        yield "No intervals: they need two recordings or more, and --resamples above 0."
        return
    yield (
        f"{found.level:.0%} intervals over recordings ({found.resampling.count} draws of "
        f"{len(details.recordings)}, seed {found.resampling.seed})"
    )
    if len(details.recordings) < FEW_RECORDINGS:
        yield f"  {TOO_FEW}"
    for row in result.rows:
        cells = [
            f"{title} {_with_interval(value, found.of.get(f'{row.name}.{what}'))}"
            for what, title in _HEADLINE
            if (value := getattr(row, what)) is not None
        ]
        if cells:
            yield f"  {row.name:<15}" + "  ".join(cells)


def _sizes(result: ProtocolResult, details: Details) -> Iterator[str]:
    yield "Sizes in sensor pixels" + " " * 11 + "Labels  mAP@0.5:0.95"
    of = details.intervals.of if details.intervals else {}
    for size in details.sizes:
        upper = "" if size.upper is None else f"{size.upper:g}"
        ends = f"{size.measure} {size.lower:g}…{upper}" if size.measure == "area" else size.measure
        value = _with_interval(size.map50_95, of.get(f"size.{size.name}.map50_95"))
        yield f"  {size.name:<15}{ends:<16}{size.labels:>6}  {value}"


def _motion(result: ProtocolResult, details: Details) -> Iterator[str]:
    if not details.motion:
        return
    yield "Motion of the labels" + " " * 5 + "Windows  Labels  mAP@0.5"
    of = details.intervals.of if details.intervals else {}
    for row in details.motion:
        value = _with_interval(row.map50, of.get(f"motion.{row.name}.map50"))
        yield f"  {row.name:<23}{row.windows:>7}  {row.labels:>6}  {value}"


def _recordings(result: ProtocolResult, details: Details) -> Iterator[str]:
    scored = [row for row in details.recordings if row.map50_95 is not None]
    if len(scored) < 2:
        return
    lowest = sorted(scored, key=lambda row: row.map50_95 or 0)
    values = [row.map50_95 or 0 for row in lowest]
    yield (
        f"Recordings: mAP@0.5:0.95 from {values[0]:.3f} to {values[-1]:.3f}, median "
        f"{values[len(values) // 2]:.3f}; the lowest"
    )
    for row in lowest[:_LISTED]:
        yield f"  {row.map50_95:.3f}  {row.name}, {row.labels} labels in {row.windows} windows"


def _errors(result: ProtocolResult, details: Details) -> Iterator[str]:
    kinds = list(details.errors)
    yield f"Errors at score {details.curves.operating_score:.3g}, where the mean F1 is largest"
    yield f"  {'':<15}" + "  ".join(kinds)
    for name, counts in (("all", details.errors), *details.errors_by_class.items()):
        if any(counts.values()):
            yield f"  {name:<15}" + "  ".join(f"{counts[kind]:>{len(kind)}}" for kind in kinds)


def _confusion(result: ProtocolResult, details: Details) -> Iterator[str]:
    names, counts = details.confusion.names, details.confusion.counts
    used = [k for k in range(len(names)) if any(counts[k]) or any(row[k] for row in counts)]
    widths = [max(7, len(names[k])) for k in used]
    yield "Label (rows) found as (columns)"
    head = "  ".join(f"{names[k]:>{w}}" for k, w in zip(used, widths, strict=True))
    yield f"  {'':<15}{head}"
    for k in used:
        row = "  ".join(f"{counts[k][j]:>{w}}" for j, w in zip(used, widths, strict=True))
        yield f"  {names[k]:<15}{row}"


def _calibration(result: ProtocolResult, details: Details) -> Iterator[str]:
    found = details.calibration
    if found.expected_error is None:
        return
    yield (
        f"Calibration: expected error {found.expected_error:.3f}, largest {found.largest_error:.3f}"
    )
    for one in found.bins:
        if one.detections:
            yield (
                f"  score {one.lower:.1f}…{one.upper:.1f}  {one.detections:>7} detections, mean score "
                f"{one.mean_score:.3f}, right {one.precision:.3f}"
            )


def _worst(result: ProtocolResult, details: Details) -> Iterator[str]:
    if not details.worst:
        return
    yield "Worst windows"
    for one in details.worst[:_LISTED]:
        yield (
            f"  {one.recording} window {one.window} at {one.t / 1e6:.2f} s: {one.missed} of "
            f"{one.labels} labels missed, {one.wrong} wrong detections"
        )


def _with_interval(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "–"
    if interval is None:
        return f"{value:.3f}"
    return f"{value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
