"""Choose whole recordings of a manifest within a budget of bytes.

Each split gets its share of the budget, and at least one recording where the budget allows that.
Inside a split a strategy decides; every one of them is seeded, deterministic and never above the
budget.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from pipeline.errors import UsageError
from pipeline.release.classes import class_numbers
from pipeline.release.shards import SPLITS
from pipeline.selection.drift import Drift, class_drift
from pipeline.selection.entries import RecordingEntry, SubsetProvenance
from pipeline.selection.manifest import Manifest
from pipeline.selection.search import Problem, choose
from pipeline.selection.strategy import Strategy

#: 268 GB in 29 000 shards: the release's mean, where an event file is not on disk to be asked.
ESTIMATED_EVENT_BYTES = 9_200_000

_UNITS = {"": 1, "B": 1} | {
    f"{prefix}{infix}B": base**power
    for infix, base in (("", 1000), ("i", 1024))
    for power, prefix in enumerate("KMGT", start=1)
}
_UNITS_FOLDED = {name.lower(): size for name, size in _UNITS.items()}


@dataclass(frozen=True)
class Subset:
    """The chosen recordings as a manifest, and how the class shares drift from the source's."""

    manifest: Manifest
    drift: Drift


def parse_size(text: str) -> int:
    """Bytes from ``40GB`` (decimal), ``40GiB`` (binary), ``500MB``, ``123``.

    Raises:
        UsageError: Anything else, less than one byte, or more than fits 63 bits.
    """
    match = re.fullmatch(
        r"\s*(\d{1,20}(?:\.\d{1,20})?|\.\d{1,20})\s*([A-Za-z]*)\s*", text, re.ASCII
    )
    unit = _UNITS_FOLDED.get(match[2].lower()) if match else None
    size = int(Decimal(match[1]) * unit) if match and unit else 0
    if not 1 <= size < 2**63:
        raise UsageError(f"'{text}' is not a size; write for example 40GB, 40GiB or 500MB.")
    return size


def choose_subset(
    manifest: Manifest,
    budget_bytes: int,
    strategy: str = Strategy.STRATIFIED,
    *,
    classes: Iterable[str] | None = None,
    exclude_classes: Iterable[str] | None = None,
    seed: int = 0,
) -> Subset:
    """Choose whole recordings within a budget; the same arguments give the same subset.

    Boxes count as far as the label rules keep them. With ``classes`` or ``exclude_classes`` only
    recordings with a box of the remaining classes are chosen, and shares are over those classes.

    Args:
        manifest: The recordings to choose from.
        budget_bytes: Bytes at most, in all.
        strategy: A :class:`pipeline.selection.strategy.Strategy`, or its name.
        classes: Names of the classes to choose for; all by default.
        exclude_classes: Names of classes to choose without.
        seed: Of the draw.

    Raises:
        UsageError: An unknown strategy or class, or a budget below the smallest recording.
    """
    if strategy not in list(Strategy):
        raise UsageError(f"'{strategy}' is not a strategy; choose one of {', '.join(Strategy)}.")
    known = manifest.class_map.classes
    wanted = _wanted_classes(known, classes, exclude_classes)
    candidates = [row for row in manifest.recordings if recording_size(row)]
    if len(wanted) < len(known):
        candidates = [row for row in candidates if row.kept_counts[list(wanted)].any()]
    names = [known[k] for k in wanted]
    if not candidates:
        raise UsageError(f"no recording holds a box of the classes {', '.join(names)}.")
    _require_one_fits(candidates, budget_bytes)
    by_split = {s: [r for r in candidates if r.split == s] for s in SPLITS}
    budgets = _split_budgets(
        {s: [recording_size(r) for r in by_split[s]] for s in SPLITS}, budget_bytes
    )
    chosen = set()
    unspent = 0
    for number, split in reversed(list(enumerate(SPLITS))):  # train, the finest grained, ends it
        rng = np.random.default_rng([seed, number])
        problem = _problem(by_split[split], budgets[split] + unspent, wanted)
        taken = choose(problem, Strategy(strategy), rng)
        unspent = problem.budget - int(problem.sizes[taken].sum())
        chosen |= {by_split[split][k].id for k in taken}
    rows = tuple(row for row in manifest.recordings if row.id in chosen)
    provenance = SubsetProvenance(
        source_digest=manifest.digest,
        source_recordings=len(manifest.recordings),
        source_bytes=manifest.totals.bytes,
        strategy=str(strategy),
        budget=budget_bytes,
        seed=seed,
        classes=tuple(names),
        estimated=any(_event_bytes_unknown(row) for row in rows),
    )
    subset = replace(manifest, recordings=rows, subset=provenance)
    return Subset(subset, class_drift(manifest, subset, wanted))


def recording_size(row: RecordingEntry) -> int:
    """Bytes of a recording's files; event files that are not on disk at the release's mean."""
    unknown = sum(s.event_bytes is None for s in row.shards) if _event_bytes_unknown(row) else 0
    return row.bytes + unknown * ESTIMATED_EVENT_BYTES


def _event_bytes_unknown(row: RecordingEntry) -> bool:
    """Only labels were scanned, so that a missing size means "not here yet", not "does not exist"."""
    return row.digest is None and any(shard.event_bytes is None for shard in row.shards)


def _wanted_classes(
    known: Sequence[str], classes: Iterable[str] | None, exclude: Iterable[str] | None
) -> tuple[int, ...]:
    excluded = class_numbers(exclude or (), known)
    wanted = tuple(sorted(set(class_numbers(classes, known)) - set(excluded)))
    if not wanted:
        raise UsageError("no class is left to choose for; exclude fewer classes.")
    return wanted


def _require_one_fits(candidates: Sequence[RecordingEntry], budget: int) -> None:
    smallest = min(candidates, key=lambda row: (recording_size(row), row.id))
    size = recording_size(smallest)
    if size > budget:
        raise UsageError(
            f"a budget of {budget} bytes is too small: the smallest recording, {smallest.id}, "
            f"has {size} bytes; give at least that."
        )


def _split_budgets(sizes: dict[str, list[int]], budget: int) -> dict[str, int]:
    """Each split's part: its smallest recording first, then its share of what is left.

    A split whose smallest recording no longer fits, in the order train, val, test, gets nothing.
    """
    floors = dict.fromkeys(sizes, 0)
    for split, of_split in sizes.items():
        smallest = min(of_split, default=0)
        if sum(floors.values()) + smallest <= budget:
            floors[split] = smallest
    left = budget - sum(floors.values())
    rest = {s: sum(of_split) - floors[s] if floors[s] else 0 for s, of_split in sizes.items()}
    total = sum(rest.values())
    if total <= left:
        return {s: floors[s] + rest[s] for s in sizes}
    return {s: floors[s] + left * rest[s] // total for s in sizes}


def _problem(rows: Sequence[RecordingEntry], budget: int, wanted: tuple[int, ...]) -> Problem:
    counts = [row.kept_counts[list(wanted)] for row in rows]
    return Problem(
        np.array([recording_size(row) for row in rows], np.int64),
        np.array(counts, np.float64).reshape(len(rows), len(wanted)),
        budget,
    )
