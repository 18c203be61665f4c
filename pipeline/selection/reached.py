"""What a choice came to: how full it is, how its class shares drift, and how far it is spread."""

import re
from collections.abc import Sequence

from pipeline.release.shards import WINDOW_US
from pipeline.selection.choice import Choice
from pipeline.selection.drift import class_counts, class_shares, divergence
from pipeline.selection.entries import RecordingEntry, SplitReached
from pipeline.selection.manifest import Manifest
from pipeline.text import share, size

_DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")
_DIGITS = 6  # what a processor's rounding changes must not change a digest


def split_reached(
    source: Manifest,
    subset: Manifest,
    split: str,
    choice: Choice,
    *,
    budget: int,
    used: int,
    classes: tuple[int, ...],
) -> SplitReached:
    """What the choice of ``split`` came to.

    Args:
        source: What was chosen from.
        subset: What was chosen.
        split: One of the source's.
        choice: How it was chosen.
        budget: Bytes at most.
        used: Bytes chosen.
        classes: Numbers of the classes that shares are over.
    """
    before, after = source.split(split), subset.split(split)
    shares = [class_shares(class_counts(m, split, classes)) for m in (source, subset)]
    return SplitReached(
        budget=budget,
        bytes=used,
        recordings=(len(after), len(before)),
        filelists=(_filelists(after), _filelists(before)),
        days=(_days(after), _days(before)),
        hours=(_hours(after), _hours(before)),
        kl=round(max(0.0, divergence(shares[1], shares[0])), _DIGITS),
        drift={
            source.class_map.classes[number]: round(float(shares[1][k] - shares[0][k]), _DIGITS)
            for k, number in enumerate(classes)
        },
        method=str(choice.method),
        reached=None if choice.reached is None else round(choice.reached, _DIGITS),
        bound=None if choice.bound is None else round(choice.bound, _DIGITS),
        ended=None if choice.ended is None else str(choice.ended),
    )


def reached_lines(reached: dict[str, SplitReached], strategy: str) -> list[str]:
    """What a choice came to, as people read it: two lines a split at most."""
    lines = []
    for split, row in reached.items():
        spread = ", ".join(
            f"{few} of {many} {noun}"
            for noun, (few, many) in (
                ("recordings", row.recordings),
                ("filelists", row.filelists),
                ("days", row.days),
            )
        )
        hours = f"{row.hours[0]:.2f} of {row.hours[1]:.2f} h"
        filled = f"{size(row.bytes)}, {share(row.bytes, row.budget)} of {size(row.budget)}"
        lines.append(f"{split}: {filled}; {spread}, {hours}; KL {row.kl:.5f}")
        if row.reached is not None:
            lines.append(f"{split}: {_goal_line(row, strategy)}")
    return lines


def _goal_line(row: SplitReached, strategy: str) -> str:
    smallest = strategy == "balanced"
    what = "smallest class share" if smallest else "total variation from the shares sought"
    text = f"{what} {_as_share(row.reached, smallest)}"
    if row.bound is not None:
        text += f", none as full {'exceeds' if smallest else 'is below'} "
        text += _as_share(row.bound, smallest)
    ended = "" if row.ended is None else f"; solver: {_ENDED.get(row.ended, row.ended)}"
    return f"{text} (by {row.method}{ended})"


_ENDED = {
    "optimal": "this is the best",
    "near": "near enough to the best",
    "nodes": "stopped after its share of branches",
    "time": "stopped by the time limit, so that another run may choose otherwise",
    "failed": "found nothing",
}


def _as_share(value: float | None, smallest: bool) -> str:
    value = value or 0.0
    return f"{100 * value:.2f} %" if smallest else f"{value:.4f}"


def _filelists(rows: Sequence[RecordingEntry]) -> int:
    return len({row.id.split("/")[1] for row in rows})


def _days(rows: Sequence[RecordingEntry]) -> int:
    dates = (_DATE.search(row.id.split("/")[2]) for row in rows)
    return len({date[0] if date else "" for date in dates})


def _hours(rows: Sequence[RecordingEntry]) -> float:
    return round(sum(row.windows for row in rows) * WINDOW_US / 3.6e9, _DIGITS)
