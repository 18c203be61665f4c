"""Sections of the report on events that no pillar holds, and on places that fire all the time."""

from pipeline.report import rate_charts
from pipeline.report.elements import Figure, Section, Table, main_sensor, used_splits
from pipeline.statistics.schema import HotSpotStatistics, PillarStatistics, Statistics
from pipeline.text import counted, grouped, share, short

_MOST_ROWS = 12


def losses_section(statistics: Statistics) -> Section | None:
    """What the settings or presets drop and cap; None where the source does not tell."""
    if statistics.pillars is not None and used_splits(statistics):
        return _of_cache(statistics, statistics.pillars)
    return _of_presets(statistics)


def _of_cache(statistics: Statistics, pillars: PillarStatistics) -> Section:
    settings = statistics.source.settings or {}
    windows = sum(row.windows for row in statistics.splits.values())
    counts = pillars.points_per_pillar
    rows = []
    for split in used_splits(statistics):
        steps = pillars.steps[split]
        rows.append(
            (
                split,
                *(
                    f"{short(lost)} ({share(max(lost, 0), steps['read'])})"
                    for lost in (
                        steps["read"] - steps["in_range"],
                        steps["in_range"] - steps["after_deduplication"],
                        max(steps["after_deduplication"] - steps["stored"], 0),
                    )
                ),
            )
        )
    most = settings["max_pillars"]
    full = " and ".join(
        f"{grouped(count)} ({share(count, windows)}) for {name} ones"
        for name, count in pillars.full_windows.items()
    )
    text = [
        f"A window holds at most {grouped(most)} pillars of a polarity; of {counted(windows, 'window')} "
        f"{full} reach that. What they lost to it, only the events tell."
    ]
    if settings["preset"] == "paper" and sum(counts):
        text.append(
            f"A pillar holds at most {settings['max_points']} points: "
            f"{share(counts[-1], sum(counts))} of the pillars of "
            f"{counted(pillars.sampled_windows, 'sampled window')} are full."
        )
    else:
        text.append("The preset release keeps one event of a cell, whatever a pillar may hold.")
    text.append(
        "This is what this cache's settings drop. For each preset beside the other, with the cause of "
        "each loss, make the report of a manifest whose shards are there."
    )
    return Section(
        "losses",
        "What is dropped and capped",
        text=text,
        tables=[
            Table(
                "Events that no pillar holds, in brackets as a share of those read: outside the sensor, "
                "not the first of their cell or pixel, and lost to full pillars, to the limit of "
                "pillars and to the window's last instant.",
                ("split", "outside", "repeated", "not encoded"),
                rows,
            )
        ],
    )


def _of_presets(statistics: Statistics) -> Section | None:
    presets = statistics.presets
    if presets is None:
        return None
    names = (
        "outside",
        "repeated",
        "last_instant",
        "over_max_points",
        "over_max_pillars",
        "encoded",
    )
    return Section(
        "losses",
        "What each preset drops and caps",
        text=[
            f"From {counted(presets.sampled_windows, 'window')} with {short(presets.events)} events, "
            f"drawn with seed {presets.sample_seed}, on a grid of {presets.columns} × {presets.rows} "
            "cells."
        ],
        tables=[
            Table(
                "What becomes of the events of the sampled windows. Repeated: not the first of its cell "
                "(release) or of its pixel (paper).",
                (
                    "preset",
                    *("outside the sensor", "repeated", "in the last instant"),
                    *("over the points of a pillar", "over the pillars", "encoded"),
                    "windows at the limit of pillars",
                ),
                [
                    (
                        f"{name}: {one.max_points} points, {grouped(one.max_pillars)} pillars"
                        if name == "paper"
                        else f"{name}: {grouped(one.max_pillars)} pillars",
                        *(
                            f"{short(getattr(one, field))} "
                            f"({share(getattr(one, field), presets.events)})"
                            for field in names
                        ),
                        grouped(one.capped_windows),
                    )
                    for name, one in presets.presets.items()
                ],
            )
        ],
    )


def hot_spots_section(statistics: Statistics) -> Section | None:
    """Cells or pixels that fire far more often than others; None from too few windows."""
    hot = statistics.hot_spots
    if hot is None:
        return None
    plural = f"{hot.unit}s"
    text = [
        f"A {hot.unit} is hot here that fires in {100 * hot.least_share:g} % of the sampled windows or "
        f"more, and {hot.least_factor:g} times as often as the median of the 24 around it. "
        f"{counted(hot.sampled_windows, 'window')} were looked at, drawn with seed {hot.sample_seed}: "
        f"{counted(hot.count, f'hot {hot.unit}')}."
    ]
    if hot.unit == "cell":
        width, height = main_sensor(statistics)
        text.append(
            f"A cache knows cells of {width / hot.columns:.3g} × {height / hot.rows:.3g} pixels, not "
            "pixels: a hot cell holds a hot pixel, or the edge of something that never moves in the "
            "frame. A manifest whose shards are there tells the pixels."
        )
    return Section(
        "hot-spots",
        f"Hot {plural}",
        text=text,
        figures=_spot_figures(statistics, hot),
        tables=[
            Table(
                f"Hot {plural}, the most frequent first"
                + (
                    f"; the first {_MOST_ROWS} of {grouped(hot.count)}."
                    if hot.count > _MOST_ROWS
                    else "."
                ),
                (f"column, row of the {hot.unit}", "fires in", "those around it"),
                [
                    (f"{spot.x}, {spot.y}", share(spot.share), share(spot.around))
                    for spot in hot.spots[:_MOST_ROWS]
                ],
            )
        ]
        if hot.spots
        else [],
    )


def _spot_figures(statistics: Statistics, hot: HotSpotStatistics) -> list[Figure]:
    if not hot.spots:
        return []
    width, height = main_sensor(statistics)
    shown = len(hot.spots)
    return [
        Figure(
            rate_charts.spots_over_frame(
                [(spot.x, spot.y) for spot in hot.spots],
                *(hot.columns, hot.rows, width / height),
                f"Where hot {hot.unit}s are over the frame.",
            ),
            f"Where hot {hot.unit}s are",
            f"{'All' if shown == hot.count else 'The most frequent'} {grouped(shown)}. Rings in one "
            "place or in a line are rather the edge of something that does not move.",
        )
    ]
