"""The report's section on the event rate over time."""

from pipeline.report import rate_charts
from pipeline.report.elements import Figure, Section, used_splits
from pipeline.statistics.schema import Statistics
from pipeline.text import counted, duration, short


def rates_section(statistics: Statistics) -> Section | None:
    """Events a second since a recording's begin; None where the source does not tell."""
    events = statistics.events
    used = used_splits(statistics)
    if events is None or not any(any(events.rate_over_time[split]) for split in used):
        return None
    slot = events.slot_seconds
    figures = [
        Figure(
            rate_charts.rate_over_time(
                {split: events.rate_over_time[split] for split in used},
                slot,
                "Events in a second by time since a recording's begin, for each split.",
            ),
            "Over a recording's time",
            " ".join(_sentence(split, statistics) for split in used).strip(),
        )
    ]
    rows = [row.rates for row in statistics.recordings if row.rates]
    if len(rows) > 1:
        figures.append(
            Figure(
                rate_charts.rates_by_recording(
                    rows, slot, "Events in a second of each recording over its time."
                ),
                "Recording by recording",
                f"A line for each of {counted(len(rows), 'recording')}, in the order of the table of "
                f"recordings. Stronger colour: more events. Time in slots of {duration(slot)}; a "
                "blank is time without a window. A line that stands out is another camera setting, "
                "another light, or a standstill.",
            )
        )
    return Section("rates", "Event rate over time", figures=figures)


def _sentence(split: str, statistics: Statistics) -> str:
    """How the rate changes from a split's first slot to its last that half of its recordings reach."""
    assert statistics.events is not None
    slots = [q for q in statistics.events.rate_over_time[split] if q is not None]
    if not slots:
        return ""
    many = [q for q in slots if q.count * 2 >= slots[0].count]
    if len(many) == 1:
        return f"{split}: {short(many[0].median)} events a second in the median recording."
    return (
        f"{split}: {short(many[0].median)} events a second in the median recording at the begin, "
        f"{short(many[-1].median)} at the end."
    )
