"""The report's section on what differs from another data set."""

from pipeline.report import rate_charts
from pipeline.report.elements import Figure, Section, Table
from pipeline.statistics.schema import ComparedValues, Comparison, Statistics
from pipeline.text import grouped, share, short

_VALUES = {
    "events": ("Events in a window", "events in a window", "windows"),
    "side": ("Sizes of boxes", "√(width · height) of a kept box, pixels", "boxes"),
    "ratio": ("Aspect ratios of boxes", "height over width of a kept box, pixels", "boxes"),
}


def comparison_section(statistics: Statistics) -> Section | None:
    """Counts and distributions here and there; None where nothing is compared."""
    comparison = statistics.comparison
    if comparison is None:
        return None
    return Section(
        "comparison",
        "Beside another data set",
        text=[
            f"This is “{statistics.source.name}”, the other is the {comparison.other_kind} "
            f"“{comparison.other_name}” (digest {comparison.other_digest[:12]}…). Drift is the total "
            "variation between the two: half the sum of the differences of shares, 0 % where they are "
            "alike and 100 % where they have nothing in common."
        ],
        figures=[
            Figure(
                rate_charts.two_distributions(
                    values.histogram, unit, of, f"{title}, of this source and of the other."
                ),
                title,
                f"Drift {_drift(values.drift)}; medians {short(values.medians[0])} here, "
                f"{short(values.medians[1])} there.",
            )
            for name, (title, unit, of) in _VALUES.items()
            if (values := comparison.values[name]).histogram is not None and _is_drawn(values)
        ],
        tables=[_drifts(comparison), *_classes(comparison)],
    )


def _is_drawn(values: ComparedValues) -> bool:
    edges = () if values.histogram is None else values.histogram.edges
    return sum(edge > 0 for edge in edges) > 1


def _drifts(comparison: Comparison) -> Table:
    rows = [
        (
            f"class shares, {split}",
            *map(grouped, map(sum, zip(*one.boxes.values(), strict=True))),
            "",
            _drift(one.class_drift),
        )
        for split, one in comparison.splits.items()
        if any(one.recordings) and one.boxes
    ]
    both = comparison.splits["all"]
    here, there = (
        events / windows if events is not None and windows else None
        for events, windows in zip(both.events, both.windows, strict=True)
    )
    rows.append(
        ("events of a mean window, as read", short(here), short(there), _factor(here, there), "")
    )
    for name, (title, _, _) in _VALUES.items():
        values = comparison.values[name]
        rows.append(
            (
                *(f"{title.lower()}, median", *map(short, values.medians)),
                *(_factor(*values.medians), _drift(values.drift)),
            )
        )
    return Table(
        "What drifts: kept boxes by split, events, and medians to a bin of the figures. “not told”: "
        "one of the two does not say.",
        ("what", "here", "there", "factor", "drift"),
        rows,
    )


def _classes(comparison: Comparison) -> list[Table]:
    both = comparison.splits["all"]
    totals = [max(1, total) for total in map(sum, zip(*both.boxes.values(), strict=True))]
    if not both.boxes:
        return []
    return [
        Table(
            "Kept boxes by class, all splits together.",
            ("class", "here", "share", "there", "share", "difference"),
            [
                (
                    name,
                    *(grouped(here), share(here, totals[0])),
                    *(grouped(there), share(there, totals[1])),
                    _points(there / totals[1] - here / totals[0]),
                )
                for name, (here, there) in both.boxes.items()
            ],
        ),
        Table(
            "Recordings and windows.",
            ("split", "recordings here", "there", "windows here", "there"),
            [
                (split, *map(grouped, one.recordings), *map(grouped, one.windows))
                for split, one in comparison.splits.items()
            ],
        ),
    ]


def _factor(here: float | None, there: float | None) -> str:
    return f"× {there / here:.3g}" if here and there is not None else "–"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points".replace("-", "−")


def _drift(value: float | None) -> str:
    return "not told" if value is None else share(value)
