"""Suggested anchors as a part of a recipe, with what they are better at."""

import yaml

from pipeline.anchors.settings import AnchorSettings
from pipeline.statistics.schema import AnchorCounts, AnchorStatistics
from pipeline.text import grouped, share


def anchors_yaml(statistics: AnchorStatistics) -> str:
    """Settings that ``dmanet train --config`` takes, and a comment with the counts behind them."""
    lines = [
        f"Boxes without an anchor of overlap {statistics.positive_iou:g} or more, with the release's "
        "anchors and with these:"
    ]
    width = max(map(len, (*statistics.kept, "all")))
    for name, kept in statistics.kept.items():
        sampled = sum(statistics.sampled[name])
        before, after = (
            share(sum(counts.without_positive[name]), sampled)
            for counts in (statistics.released, statistics.suggested)
        )
        drawn = "" if sampled == kept else f", {grouped(sampled)} of them looked at"
        lines.append(f"  {name:<{width}}  {before:>7} → {after:>7}  of {grouped(kept)}{drawn}")
    before, after = map(_all, (statistics.released, statistics.suggested))
    lines.append(f"  {'all':<{width}}  {before:>7} → {after:>7}  of {grouped(_total(statistics))}")
    comment = "".join(f"# {line}\n" for line in lines)
    return comment + settings_yaml(statistics.suggested)


def settings_yaml(counts: AnchorCounts) -> str:
    """The anchors alone."""
    anchors = {
        name: list(value) if isinstance(value := getattr(counts, name), tuple) else value
        for name in AnchorSettings.model_fields
    }
    text: str = yaml.safe_dump(
        {"model": {"anchors": anchors}}, sort_keys=False, default_flow_style=None
    )
    return text


def _all(counts: AnchorCounts) -> str:
    return "–" if counts.share_without_positive is None else share(counts.share_without_positive)


def _total(statistics: AnchorStatistics) -> int:
    return sum(statistics.kept.values())
