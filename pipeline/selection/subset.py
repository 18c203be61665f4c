"""Choose whole recordings of a manifest within a budget of bytes.

Each split gets its share of the budget, and at least one recording where the budget allows that, or
a budget of its own. Inside a split a strategy decides; every one of them is seeded, deterministic and
never above the budget.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.metadata import version

import numpy as np

from pipeline.errors import UsageError
from pipeline.release.classes import class_numbers
from pipeline.release.shards import SPLITS
from pipeline.selection.choice import Choice, choose
from pipeline.selection.drift import Drift, class_drift, class_shares
from pipeline.selection.entries import RecordingEntry, SubsetProvenance
from pipeline.selection.manifest import Manifest
from pipeline.selection.reached import split_reached
from pipeline.selection.request import checked_target, matching, split_sizes
from pipeline.selection.search import Problem
from pipeline.selection.strategy import Strategy

#: 268 GB in 29 000 shards: the release's mean, where an event file is not on disk to be asked.
ESTIMATED_EVENT_BYTES = 9_200_000

#: Seconds for the solver; its limits by work end it long before on a release of 900 recordings.
TIME_LIMIT = 120.0

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
    budget_bytes: int | Mapping[str, int],
    strategy: str = Strategy.STRATIFIED,
    *,
    target: Mapping[str, float] | None = None,
    classes: Iterable[str] | None = None,
    exclude_classes: Iterable[str] | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    seed: int = 0,
    time_limit: float = TIME_LIMIT,
) -> Subset:
    """Choose whole recordings within a budget; the same arguments give the same subset.

    Boxes count as far as the label rules keep them. With ``classes`` or ``exclude_classes`` only
    recordings with a box of the remaining classes are chosen, and shares are over those classes.

    Args:
        manifest: The recordings to choose from.
        budget_bytes: Bytes at most, in all or by split; a split not named then gets nothing.
        strategy: A :class:`pipeline.selection.strategy.Strategy`, or its name.
        target: For the strategy ``target``, shares by class name. Classes not named share the rest as
            they do in the source.
        classes: Names of the classes to choose for; all by default.
        exclude_classes: Names of classes to choose without.
        include: Patterns of the ids to choose from; all by default.
        exclude: Patterns of ids to choose without.
        seed: Of the draw.
        time_limit: Seconds for the solver; where it ends by that, the subset says so, and the same
            arguments may give another.

    Raises:
        UsageError: An unknown strategy, class, split or pattern, or a budget below the smallest
            recording.
    """
    if strategy not in list(Strategy):
        raise UsageError(f"'{strategy}' is not a strategy; choose one of {', '.join(Strategy)}.")
    if (strategy == Strategy.TARGET) != (target is not None):
        raise UsageError("the strategy target and a target's shares go together; give both.")
    known = manifest.class_map.classes
    wanted = _wanted_classes(known, classes, exclude_classes)
    names = [known[k] for k in wanted]
    shares = None if target is None else _shares_among(checked_target(target), names)
    include, exclude = tuple(include), tuple(exclude)
    candidates = [
        row for row in matching(manifest.recordings, include, exclude) if recording_size(row)
    ]
    if len(wanted) < len(known):
        candidates = [row for row in candidates if row.kept_counts[list(wanted)].any()]
    if not candidates:
        raise UsageError(f"no recording holds a box of the classes {', '.join(names)}.")
    own = None if isinstance(budget_bytes, int) else split_sizes(budget_bytes)
    by_split = {s: [r for r in candidates if r.split == s] for s in SPLITS}
    budgets = own or _shared_budgets(by_split, budget_bytes)  # type: ignore[arg-type]
    deadline = time.monotonic() + time_limit
    choices: dict[str, tuple[Problem, Choice]] = {}
    unspent = 0
    for number, split in reversed(list(enumerate(SPLITS))):  # train, the finest grained, ends it
        if split not in budgets:
            continue
        if own:
            _require_one_fits(by_split[split], budgets[split], split)
        rng = np.random.default_rng([seed, number])
        problem = _problem(by_split[split], budgets[split] + unspent, wanted)
        sought = None if shares is None else _sought(problem, shares, names)
        choice = choose(problem, Strategy(strategy), sought, rng, deadline)
        unspent = 0 if own else problem.budget - problem.used(choice.taken)
        choices[split] = problem, choice
    chosen = {by_split[s][k].id for s, (_, choice) in choices.items() for k in choice.taken}
    rows = tuple(row for row in manifest.recordings if row.id in chosen)
    subset = replace(manifest, recordings=rows, subset=None)
    solved = any(choice.ended for _, choice in choices.values())
    provenance = SubsetProvenance(
        source_digest=manifest.digest,
        source_recordings=len(manifest.recordings),
        source_bytes=manifest.totals.bytes,
        strategy=str(strategy),
        budget=sum(own.values()) if own else budget_bytes,  # type: ignore[arg-type]
        seed=seed,
        classes=tuple(names),
        estimated=any(_event_bytes_unknown(row) for row in rows),
        split_budgets=own,
        target=shares,
        include=include or None,
        exclude=exclude or None,
        solver=f"scipy {version('scipy')}" if solved else None,
        reached={
            split: split_reached(
                manifest,
                subset,
                split,
                choices[split][1],
                budget=choices[split][0].budget,
                used=choices[split][0].used(choices[split][1].taken),
                classes=wanted,
            )
            for split in SPLITS
            if split in choices and by_split[split]
        },
    )
    return Subset(replace(subset, subset=provenance), class_drift(manifest, subset, wanted))


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


def _shares_among(target: dict[str, float], names: list[str]) -> dict[str, float]:
    """The target in the classes' order."""
    for name in target:
        if name not in names:
            raise UsageError(
                f"'{name}' is not among the classes to choose for ({', '.join(names)}); leave its "
                "share out."
            )
    return {name: target[name] for name in names if name in target}


def _sought(problem: Problem, shares: Mapping[str, float], names: list[str]) -> np.ndarray:
    """Shares of all classes ``[C]``: those asked for, and the rest in the proportions of the source."""
    asked = np.array([name in shares for name in names])
    others = class_shares(np.where(asked, 0.0, problem.counts.sum(axis=0)))
    given = np.array([shares.get(name, 0.0) for name in names])
    return class_shares(given + others * max(0.0, 1 - given.sum()))


def _shared_budgets(by_split: dict[str, list[RecordingEntry]], budget: int) -> dict[str, int]:
    _require_one_fits([row for rows in by_split.values() for row in rows], budget)
    sizes = {s: [recording_size(row) for row in rows] for s, rows in by_split.items()}
    return _split_budgets(sizes, budget)


def _require_one_fits(
    candidates: Sequence[RecordingEntry], budget: int, split: str | None = None
) -> None:
    if not candidates:
        raise UsageError(f"there is no recording of {split} to choose; give it no budget.")
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
