"""The report's section on boxes at rest."""

from pipeline.release.motion import MOTIONS
from pipeline.report.elements import Section, Table, used_splits
from pipeline.statistics.schema import Statistics
from pipeline.text import grouped, share


def motion_section(statistics: Statistics) -> Section | None:
    """Shares of boxes that rest, are slow or move; None where they are not known or there are none."""
    motion = statistics.motion
    if motion is None or not any(sum(counts.values()) for counts in motion.boxes.values()):
        return None
    rows = []
    for split in used_splits(statistics):
        counts = motion.boxes[split]
        cells = [split, grouped(sum(counts.values()))]
        for name in MOTIONS:
            cells += [grouped(counts[name]), share(counts[name], sum(counts.values()))]
        rows.append(tuple(cells))
    columns = ["split", "boxes"]
    for name in MOTIONS:
        columns += [name, "share"]
    return Section(
        "motion",
        "Motion of boxes",
        text=[
            "An event camera sees what changes: of an object at rest come hardly any events, and only "
            "memory can hold it."
        ],
        tables=[
            Table(
                f"All boxes as they are stored. Slow: from {motion.slow_speed:g} pixels a second on, "
                f"moving: from {motion.moving_speed:g}; where no track tells, by the events in the box.",
                tuple(columns),
                rows,
            )
        ],
    )
