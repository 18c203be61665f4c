"""The report's section on the label counts that were published with the release."""

from pipeline.report.elements import Section, Table
from pipeline.statistics.schema import PublishedStatistics, Statistics
from pipeline.text import grouped, listed, share


def published_section(statistics: Statistics) -> Section | None:
    """Published counts beside what is there; None for another data set, or without recordings."""
    published = statistics.published
    if published is None or not statistics.recordings:
        return None
    ranked = sorted(published.difference, key=lambda rule: published.difference[rule])
    counts = [published.published, *(published.counts[rule] for rule in ranked)]
    rows = [
        (f"{split}, {name}", *(grouped(of_split[split][name]) for of_split in counts))
        for split, row in published.published.items()
        for name in row
    ]
    rows.append(("off by", "", *(share(published.difference[rule]) for rule in ranked)))
    return Section(
        "published",
        "Published label counts",
        text=[_sentence(published, ranked)],
        tables=[
            Table(
                "Boxes published with the release for three of its classes, without the rule that was "
                "applied, and what each rule gives here, the nearest first. Off by: all differences "
                "together, as a share of all published boxes.",
                ("boxes", "published", *ranked),
                rows,
            )
        ],
    )


def _sentence(published: PublishedStatistics, ranked: list[str]) -> str:
    if published.reproduced_by:
        rules = listed([f"“{rule}”" for rule in published.reproduced_by])
        return f"Every published number is reproduced by the rule {rules}."
    if not ranked:
        return "The classes that are kept here are not those whose counts were published."
    nearest = published.difference[ranked[0]]
    text = (
        f"No rule reproduces the published numbers; the nearest is “{ranked[0]}”, off by "
        f"{share(nearest)}."
    )
    return text + (" A part of the release, or other data, cannot." if nearest > 0.05 else "")
