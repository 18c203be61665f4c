"""Sections of the report on splits, labels and boxes."""

from collections.abc import Mapping, Sequence

from pipeline.release.shards import SPLITS
from pipeline.report import charts
from pipeline.report.elements import (
    WINDOW_SECONDS,
    Figure,
    Gallery,
    Section,
    Table,
    main_sensor,
    median,
    used_splits,
)
from pipeline.statistics.schema import Quantiles, Statistics
from pipeline.text import duration, grouped, share, short, size

MOST_CHARTED = 20  # classes in a chart, and panels of a gallery; tables have all


def charted(counts: Mapping[str, int]) -> tuple[list[str], str]:
    """The classes that charts show, in their order, and a sentence on the others.

    All where they are few; else those with the most boxes, of equally many the first.
    """
    if len(counts) <= MOST_CHARTED:
        return list(counts), ""
    chosen = set(sorted(counts, key=lambda name: -counts[name])[:MOST_CHARTED])
    return [name for name in counts if name in chosen], (
        f" Shown are the {MOST_CHARTED} classes with the most boxes of {grouped(len(counts))}; the "
        "table below has all."
    )


def splits_section(statistics: Statistics) -> Section:
    """Recordings, windows, time, events and boxes of each split."""
    is_cache = statistics.source.kind == "cache"
    columns = ["split", "recordings", "windows", "time", "events", "kept boxes"]
    columns += ["labelled windows", "release files", "cache"] if is_cache else ["release files"]
    rows = []
    for split in SPLITS:
        row = statistics.splits[split]
        cells = [split, grouped(row.recordings), grouped(row.windows)]
        cells += [
            duration(row.windows * WINDOW_SECONDS),
            short(row.events),
            grouped(sum(row.kept.values())),
        ]
        if is_cache:
            cells.append(share(row.labelled_windows or 0, row.windows))
        cells.append(size(row.source_bytes))
        if is_cache:
            cells.append(size(row.cache_bytes))
        rows.append(tuple(cells))
    caption = "Size of each split. Windows are 50 ms"
    caption += "; a window is labelled when it holds at least one kept box." if is_cache else "."
    return Section("splits", "Splits", tables=[Table(caption, tuple(columns), rows)])


def labels_section(statistics: Statistics) -> Section | None:
    """Kept boxes by class and by window; None without a recording."""
    used = used_splits(statistics)
    if not used:
        return None
    splits = {split: statistics.splits[split] for split in used}
    columns = ["class"]
    for _ in used:
        columns += ["in the release", "kept", "share of kept"]
    rows = []
    for name in statistics.splits[used[0]].labels:
        cells = [name]
        for row in splits.values():
            kept = row.kept.get(name)
            total = sum(row.kept.values())
            cells += [grouped(row.labels[name]), grouped(kept)]
            cells.append("–" if kept is None else share(kept, total))
        rows.append(tuple(cells))
    cells = ["all"]
    for row in splits.values():
        cells += [grouped(sum(row.labels.values())), grouped(sum(row.kept.values())), ""]
    rows.append(tuple(cells))
    figures = []
    if any(sum(row.kept.values()) for row in splits.values()):
        shown, others = charted(
            {name: sum(row.kept[name] for row in splits.values()) for name in statistics.classes}
        )
        absent = any(not row.kept[name] for row in splits.values() for name in shown)
        figures.append(
            Figure(
                charts.boxes_by_class(
                    {
                        split: {name: row.kept[name] for name in shown}
                        for split, row in splits.items()
                    },
                    "Kept boxes of each class and split, logarithmic; the numbers are in the "
                    "table below.",
                ),
                "Boxes of each class",
                "Splits of the same make-up keep the same distance from each other in every row. "
                "A step of the axis is a factor of ten."
                + (" Hollow marks at the left edge: none." if absent else "")
                + others,
            )
        )
    if statistics.boxes is not None and any(any(statistics.boxes.per_window[s][1:]) for s in used):
        figures.append(
            Figure(
                charts.boxes_per_window(
                    {split: statistics.boxes.per_window[split] for split in used},
                    "Share of windows by their number of kept boxes.",
                ),
                "Boxes in a window",
                _boxes_per_window_caption(statistics, used),
            )
        )
    return Section(
        "labels",
        "Labels",
        figures=figures,
        tables=[
            Table(
                "Boxes as the release has them, and those that the label rules keep: inside the "
                "frame after cropping, of a class that was chosen, large enough.",
                tuple(columns),
                rows,
                groups=[(split, 3) for split in used],
            )
        ],
    )


def _boxes_per_window_caption(statistics: Statistics, used: Sequence[str]) -> str:
    assert statistics.boxes is not None
    parts = []
    for split in used:
        counts = statistics.boxes.per_window[split]
        boxes = sum(n * windows for n, windows in enumerate(counts))
        windows = sum(counts)
        if windows:
            parts.append(
                f"{split} holds {boxes / windows:.1f} boxes in a mean window, "
                f"at most {len(counts) - 1}, none in {share(counts[0], windows)}"
            )
    return "; ".join(parts) + "."


def boxes_section(statistics: Statistics) -> Section | None:
    """Sizes and places of kept boxes and lengths of tracks; None without any."""
    boxes = statistics.boxes
    found = [] if boxes is None else [c for c in statistics.classes if boxes.width_grid[c]]
    if boxes is None or not found:
        return None

    shown, others = charted({name: _count(boxes.width_grid[name]) for name in found})

    def pick(by_class: dict[str, Quantiles | None]) -> dict[str, Quantiles | None]:
        return {name: by_class[name] for name in shown}

    assert statistics.source.settings is not None
    columns, lines = statistics.source.settings["grid"]
    width, height = main_sensor(statistics)
    return Section(
        "boxes",
        "Boxes",
        figures=[
            Figure(
                charts.ranges_by_class(
                    {"width": pick(boxes.width_grid), "height": pick(boxes.height_grid)},
                    "grid units",
                    "Widths and heights of kept boxes by class, in grid units; the medians are in "
                    "the table below.",
                ),
                "Box sizes as the network sees them",
                "Dot: median. Thick line: the middle half. Thin line: the middle 90 %. On a sensor "
                f"of {width} × {height} pixels a grid unit is {width / columns:.2f} pixels wide and "
                f"{height / lines:.2f} high.{others}",
            ),
            Figure(
                charts.ranges_by_class(
                    {"track": pick(boxes.track_windows)},
                    "seconds with a box",
                    "Lengths of tracks by class.",
                    scale=WINDOW_SECONDS,
                ),
                "How long a track is labelled",
                "Time for which the same object holds a kept box, all splits together; "
                f"breaks are not counted. Lines as in the figure of sizes.{others}",
            ),
            Figure(
                charts.ranges_by_class(
                    {
                        "on the sensor": pick(boxes.ratio_pixels),
                        "on the grid": pick(boxes.ratio_grid),
                    },
                    "height over width",
                    "Heights over widths of kept boxes by class, on the sensor and on the grid; the "
                    "medians are in the table below.",
                ),
                "Aspect ratios",
                "Height over width, 1 for a square. A grid of other proportions than the sensor's "
                "squashes boxes: anchors must fit the ratios on the grid. Lines as in the figure of "
                f"sizes.{others}",
            ),
        ],
        galleries=[
            Gallery(
                "Width by height",
                "Kept boxes by width (across) and height (up) in grid units, both axes "
                "logarithmic; the diagonal marks squares on the grid. Stronger colour: more "
                f"boxes, each panel on its own scale.{others}",
                [
                    Figure(
                        charts.size_map(
                            boxes.sizes[name],
                            boxes.size_edges,
                            f"Widths and heights of {name} boxes.",
                        ),
                        name,
                    )
                    for name in shown
                ],
            ),
            Gallery(
                "Where boxes are",
                "Centres of kept boxes over the sensor's frame, in 32 × 18 fields. Stronger "
                f"colour: more boxes, each panel on its own scale.{others}",
                [
                    Figure(
                        charts.place_map(
                            boxes.places[name], width / height, f"Places of {name} boxes."
                        ),
                        name,
                    )
                    for name in shown
                ],
            ),
        ],
        tables=[
            Table(
                "Median sizes of kept boxes after cropping, and tracks.",
                (
                    *("class", "boxes", "width, pixels", "height, pixels"),
                    *("width, grid", "height, grid", "ratio, pixels", "ratio, grid"),
                    *("tracks", "median track"),
                ),
                [
                    (
                        name,
                        grouped(_count(boxes.width_grid[name])),
                        *(
                            median(by_class[name])
                            for by_class in (
                                boxes.width_pixels,
                                boxes.height_pixels,
                                boxes.width_grid,
                                boxes.height_grid,
                                boxes.ratio_pixels,
                                boxes.ratio_grid,
                            )
                        ),
                        grouped(_count(boxes.track_windows[name])),
                        duration(q.median * WINDOW_SECONDS)
                        if (q := boxes.track_windows[name])
                        else "–",
                    )
                    for name in found
                ],
            )
        ],
    )


def _count(q: Quantiles | None) -> int:
    return 0 if q is None else q.count
