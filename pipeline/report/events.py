"""Sections of the report on events, pillars and sequences."""

from pipeline.report import charts
from pipeline.report.elements import Figure, Section, Table, main_sensor, used_splits
from pipeline.statistics.schema import CLIP_WINDOWS, Statistics
from pipeline.text import counted, duration, grouped, share, short


def events_section(statistics: Statistics) -> Section | None:
    """Events of a window and of a recording; None where the source does not tell."""
    events = statistics.events
    used = used_splits(statistics)
    if events is None or not used:
        return None
    figures = []
    histogram = events.per_window_histogram
    if len(histogram.edges) > 1 and histogram.edges[-1] > 1:
        figures.append(
            Figure(
                charts.count_histogram(
                    histogram, used, "events in a window", "Share of windows by their events."
                ),
                "Events in a window",
                " ".join(
                    f"{split}: half of the windows hold more than {short(q.median)} events, one in "
                    f"twenty more than {short(q.p95)}."
                    for split in used
                    if (q := events.per_window[split])
                ),
            )
        )
    busy = [row for row in statistics.recordings if row.events]
    if len(busy) > 1:
        figures.append(
            Figure(
                charts.events_by_recording(
                    statistics.recordings,
                    "Median events in a window of each recording, quiet to busy.",
                ),
                "Events by recording",
                "Dot: a recording's median window. Line: its middle 90 % of windows. A step at "
                "either end is a recording unlike the others.",
            )
        )
    if events.positive_share_histogram.edges:
        figures.append(
            Figure(
                charts.share_histogram(
                    events.positive_share_histogram,
                    used,
                    "positive events of a window",
                    "Share of windows by the share of their events that are positive.",
                ),
                "Polarity",
                "Share of a window's events that are positive (brighter). Far from one half, or "
                "different from split to split, it tells of other camera settings or light.",
            )
        )
    rows = []
    for split in used:
        q = events.per_window[split]
        p = events.positive_share[split]
        if q is not None:
            values = (q.minimum, q.p05, q.p25, q.median, q.p75, q.p95, q.maximum)
            rows.append((split, *map(short, values), "–" if p is None else share(p.median)))
    return Section(
        "events",
        "Events",
        figures=figures,
        tables=[
            Table(
                "Events inside the sensor in a window of 50 ms. Twenty times that is the rate in a "
                "second.",
                (
                    *("split", "least", "5 %", "25 %", "median", "75 %", "95 %", "most"),
                    "median positive share",
                ),
                rows,
            )
        ],
    )


def pillars_section(statistics: Statistics) -> Section | None:
    """Pillars of a window, points of a pillar, and where pillars lie; None without any."""
    pillars = statistics.pillars
    used = used_splits(statistics)
    if pillars is None or not used:
        return None
    figures = []
    histogram = pillars.per_window_histogram
    if len(histogram.edges) > 1 and histogram.edges[-1] > 1:
        figures.append(
            Figure(
                charts.count_histogram(
                    histogram,
                    ("negative", "positive"),
                    "pillars of a polarity in a window",
                    "Share of windows by their pillars, for each polarity.",
                ),
                "Pillars in a window",
                f"Of {grouped(pillars.cells)} cells of each polarity, a mean window occupies "
                f"{share(pillars.occupied['negative'])} with negative and "
                f"{share(pillars.occupied['positive'])} with positive pillars.",
            )
        )
    text = []
    counts = pillars.points_per_pillar
    sampled = f"from {counted(pillars.sampled_windows, 'window')}"
    if sum(counts[2:]):
        figures.append(
            Figure(
                charts.points_per_pillar(counts, "Share of pillars by their number of points."),
                "Points in a pillar",
                f"{share(sum(counts[2:]), sum(counts))} of the pillars hold more than one event "
                f"({sampled} drawn at random).",
            )
        )
    elif sum(counts):
        text.append(f"Every pillar holds one point ({sampled} drawn at random).")
    if sum(counts):
        width, height = main_sensor(statistics)
        figures.append(
            Figure(
                charts.place_map(
                    pillars.map, width / height, "Where pillars are over the sensor's frame."
                ),
                "Where pillars are",
                f"Stronger colour: more pillars ({sampled} drawn at random). Fields that stay "
                "empty in every drive may be covered; a single strong field may be a hot pixel.",
            )
        )
    rows = []
    for split in used:
        steps = pillars.steps[split]
        cells = [
            f"{short(steps[step])} ({share(steps[step], steps['read'])})"
            for step in ("in_range", "after_deduplication", "stored")
        ]
        rows.append((split, short(steps["read"]), *cells))
    return Section(
        "pillars",
        "Pillars",
        text=text,
        figures=figures,
        tables=[
            Table(
                "What is left of the events after each step, in brackets as a share of those read. "
                "The last step loses points to full pillars, to the limit of pillars and at the "
                "end of a window; it can exceed the one before where an empty polarity takes a "
                "copy of the other.",
                ("split", "read", "inside the sensor", "after deduplication", "points stored"),
                rows,
            )
        ],
    )


def sequences_section(statistics: Statistics) -> Section | None:
    """How long windows follow each other; None where the source does not tell."""
    sequences = statistics.sequences
    used = used_splits(statistics)
    if sequences is None or not used:
        return None
    rows = []
    for split in used:
        q = sequences.windows[split]
        if q is not None:
            clips = sequences.clips[split]
            windows = statistics.splits[split].windows
            rows.append(
                (
                    *(split, grouped(q.count), grouped(q.minimum), grouped(q.median)),
                    *(grouped(q.maximum), grouped(clips), share(clips * CLIP_WINDOWS, windows)),
                )
            )
    gap = sequences.gap_ms
    text = (
        "No recording is interrupted."
        if gap is None and not sequences.backwards
        else ""
        if gap is None
        else f"{counted(gap.count, 'break')}, {duration(gap.median / 1000)} long in the median and "
        f"{duration(gap.maximum / 1000)} at most: gaps of the clock, and windows that were left out."
    )
    return Section(
        "sequences",
        "Sequences",
        text=[text] if text else [],
        tables=[
            Table(
                "Runs of windows that follow one another. Recurrent state starts "
                f"afresh in each; training takes clips of {CLIP_WINDOWS} windows from them.",
                (
                    *("split", "sequences", "shortest", "median", "longest"),
                    *("disjoint clips", "windows they cover"),
                ),
                rows,
            )
        ],
    )
