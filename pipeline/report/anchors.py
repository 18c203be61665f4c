"""The report's section on boxes that no anchor is trained towards."""

import itertools

from pipeline.report import rate_charts
from pipeline.report.elements import Figure, Section, Table
from pipeline.statistics.schema import AnchorCounts, AnchorStatistics, Statistics
from pipeline.text import grouped, listed, share


def anchors_section(statistics: Statistics) -> Section | None:
    """Boxes without a positive anchor by class and size; None without boxes."""
    anchors = statistics.anchors
    found = [] if anchors is None else [name for name, kept in anchors.kept.items() if kept]
    if anchors is None or not found:
        return None
    looked = sum(map(sum, anchors.sampled.values()))
    kept = sum(anchors.kept.values())
    drawn = (
        "every kept box"
        if looked == kept
        else f"{grouped(looked)} of {grouped(kept)} kept boxes, as many of each class as there are or "
        f"as fit, drawn with seed {anchors.sample_seed}"
    )
    before, after = anchors.released, anchors.suggested
    return Section(
        "anchors",
        "Anchors",
        text=[
            f"A box that no anchor overlaps by {anchors.positive_iou:g} has no positive anchor: the "
            "release trains it as background, and the preset default trains the anchors that overlap "
            f"it most, however badly. Counted on {drawn}.",
            f"With the release's anchors that is {_all(before)} of the boxes, with as many "
            f"suggested ones {_all(after)}; the best overlap of a mean box is "
            f"{before.mean_best_overlap or 0:.2f} and {after.mean_best_overlap or 0:.2f}. `dmanet-data "
            "anchors` prints the suggested ones as settings.",
        ],
        figures=[
            Figure(
                rate_charts.shares_by_class(
                    {
                        "release": _shares(anchors, before, found),
                        "suggested": _shares(anchors, after, found),
                    },
                    "boxes without a positive anchor",
                    "Share of boxes without a positive anchor by class, with the release's anchors and "
                    "with suggested ones; the numbers are in the table below.",
                ),
                "Boxes without a positive anchor",
                f"Suggested: base scale {after.base_scale:g}, scales {_numbers(after.scales)}, heights "
                f"over widths {_numbers(after.ratios)}, on levels {_numbers(after.levels)}.",
            )
        ],
        tables=[
            Table(
                "Boxes without a positive anchor, by class and size, √(width · height) in grid units: "
                "with the release's anchors → with the suggested ones. A dash: no box.",
                ("class", "all sizes", *_bins(anchors)),
                [
                    (
                        name,
                        f"{share(sum(before.without_positive[name]), sum(anchors.sampled[name]))} → "
                        f"{share(sum(after.without_positive[name]), sum(anchors.sampled[name]))}",
                        *(
                            f"{share(one, boxes)} → {share(two, boxes)}" if boxes else "–"
                            for one, two, boxes in zip(
                                before.without_positive[name],
                                after.without_positive[name],
                                anchors.sampled[name],
                                strict=True,
                            )
                        ),
                    )
                    for name in found
                ],
            )
        ],
    )


def _all(counts: AnchorCounts) -> str:
    return share(counts.share_without_positive or 0)


def _shares(
    anchors: AnchorStatistics, counts: AnchorCounts, classes: list[str]
) -> dict[str, float | None]:
    return {
        name: sum(counts.without_positive[name]) / sum(anchors.sampled[name]) for name in classes
    }


def _bins(anchors: AnchorStatistics) -> list[str]:
    edges = [f"{edge:g}" for edge in anchors.size_edges]
    return [
        *(f"{low} to {high}" for low, high in itertools.pairwise(edges)),
        f"from {edges[-1]}",
    ]


def _numbers(values: tuple[float, ...]) -> str:
    return listed([f"{value:.3g}" for value in values])
