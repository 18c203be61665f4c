"""Results side by side, by the paired bootstrap: the same draws of recordings, scored by each.

The difference of two results varies less than either, as both meet the same recordings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmanet.evaluation.bootstrap import FEW_RECORDINGS, interval_of
from dmanet.evaluation.details import Details, Interval
from dmanet.evaluation.protocols import ProtocolResult
from dmanet.evaluation.result_files import read_result
from dmanet.reporting.details_text import TOO_FEW
from pipeline.errors import DataError, UsageError

_NAME = "evaluation.json"


@dataclass(frozen=True)
class Difference:
    """One number of two results.

    Attributes:
        key: of the number, such as ``all.map50_95``.
        first: of the first result; None where it has none.
        second: of the second.
        difference: second minus first.
        interval: of the difference; None where no draw has both.
        second_is_better: share of the draws in which the second is larger, equal ones by half.
    """

    key: str
    first: float | None
    second: float | None
    difference: float | None
    interval: Interval | None
    second_is_better: float | None


@dataclass(frozen=True)
class Comparison:
    """A result against the first one.

    Attributes:
        first: name of the first.
        second: name of this one.
        draws: how many.
        recordings: of which each draw takes as many.
        differences: of every number that both have.
    """

    first: str
    second: str
    draws: int
    recordings: int
    differences: tuple[Difference, ...]


def compare(places: Sequence[Path]) -> list[Comparison]:
    """Each result after the first against the first.

    Args:
        places: files of `dmanet evaluate --json`, or folders of runs that hold one.

    Raises:
        UsageError: there are fewer than two, one is not there, or they are of different protocols,
            splits, recordings, labels, classes or draws.
        DataError: a file is damaged, or holds no draws.
    """
    if len(places) < 2:
        raise UsageError("a comparison needs two results or more; give their files or runs.")
    files = [_file(place) for place in places]
    results = [read_result(file) for file in files]
    for file, result in zip(files, results, strict=True):
        _require_alike(files[0], results[0], file, result)
    return [
        Comparison(
            str(places[0]),
            str(place),
            *_size(files[0], results[0]),
            _differences(results[0], result),
        )
        for place, result in zip(places[1:], results[1:], strict=True)
    ]


def comparison_text(comparison: Comparison) -> str:
    """A sentence for each headline number, and a line for each class."""
    lines = [
        f"A = {comparison.first}",
        f"B = {comparison.second}",
        f"{'':<28}{'A':>7}{'B':>7}{'B − A':>9}  95 % interval",
    ]
    for one in comparison.differences:
        if one.key.startswith(("size.", "summary.")) or one.difference is None:
            continue
        if not one.key.startswith("all.") and not one.key.endswith(".map50_95"):
            continue
        line = f"{one.key:<28}{one.first:>7.3f}{one.second:>7.3f}{one.difference:>+9.3f}"
        if one.interval is not None:
            line += f"  [{one.interval.low:+.3f}, {one.interval.high:+.3f}]"
            if one.interval.low == one.interval.high == 0:
                line += "  A and B are equal"
            else:
                line += f"  B beats A in {one.second_is_better:.1%} of resamples"
        lines.append(line)
    if comparison.recordings < FEW_RECORDINGS:
        lines.append(f"Intervals {TOO_FEW}.")
    return "\n".join(lines)


def _size(file: Path, result: ProtocolResult) -> tuple[int, int]:
    """Draws and recordings of a result."""
    details, draws = _details(file, result)
    return draws, len(details.recordings)


def _file(place: Path) -> Path:
    """The result that a path names."""
    if not place.is_dir():
        return place
    found = sorted(place.glob("evaluation*.json"))
    if (place / _NAME) in found:
        return place / _NAME
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            f"{place}: holds no result; `dmanet evaluate CACHE --checkpoint {place / 'last.pt'} --json "
            f"{place / _NAME}` makes one."
        )
    raise UsageError(
        f"{place}: holds {', '.join(file.name for file in found)}; name the file to compare."
    )


def _require_alike(first: Path, one: ProtocolResult, second: Path, other: ProtocolResult) -> None:
    """Raise what keeps two results from being compared."""
    (details, count), (others, other_count) = _details(first, one), _details(second, other)
    split, other_split = (result.conditions.get("split", "files") for result in (one, other))
    names, other_names = ([row.name for row in d.recordings] for d in (details, others))
    seed, other_seed = (d.intervals.resampling.seed for d in (details, others) if d.intervals)
    if one.protocol != other.protocol:
        what = f"the protocol {one.protocol.name} and {other.protocol.name}"
        if one.protocol.name == other.protocol.name:
            what = f"different settings of the protocol {one.protocol.name}"
    elif split != other_split:
        what = f"the split {split} and {other_split}"
    elif sorted(names) == sorted(other_names) and names != other_names:
        what = "the same recordings in another order"
    elif names != other_names:
        what = f"different recordings ({min({*names} ^ {*other_names}, default='one')} is in one alone)"
    elif [row.name for row in one.rows] != [row.name for row in other.rows]:
        what = "different classes"
    elif details.labels != others.labels:
        what = "different labels of the same recordings"
    elif (count, seed) != (other_count, other_seed):
        what = f"{count} draws with seed {seed} and {other_count} with seed {other_seed}"
    else:
        return
    raise UsageError(
        f"{first} and {second}: are of {what}, and cannot be compared; evaluate one of them again."
    )


def _details(file: Path, result: ProtocolResult) -> tuple[Details, int]:
    """A result's details and how many draws it holds."""
    details = result.details
    if details is None or details.intervals is None:
        raise UsageError(
            f"{file}: holds no draws to compare; evaluate again, on two recordings or more and with "
            "--resamples above 0."
        )
    count = details.intervals.resampling.count
    if any(len(values) != count for values in details.intervals.draws.values()):
        raise DataError(f"{file}: holds fewer or more draws than it says; evaluate again.")
    return details, count


def _differences(one: ProtocolResult, other: ProtocolResult) -> tuple[Difference, ...]:
    numbers, others = numbers_of(one), numbers_of(other)
    draws, other_draws = (
        r.details.intervals.draws if r.details and r.details.intervals else {} for r in (one, other)
    )
    found = []
    for key in (key for key in numbers if key in draws and key in other_draws):
        first, second = numbers[key], others.get(key)
        drawn = np.array(other_draws[key], float) - np.array(draws[key], float)
        there = drawn[~np.isnan(drawn)]
        better = (there > 0).mean() + 0.5 * (there == 0).mean() if len(there) else None
        found.append(
            Difference(
                key,
                first,
                second,
                None if first is None or second is None else second - first,
                interval_of(drawn),
                None if better is None else float(better),
            )
        )
    return tuple(found)


def numbers_of(result: ProtocolResult) -> dict[str, float | None]:
    """The numbers of a result by the keys of :func:`dmanet.evaluation.headline.headline`."""
    numbers = {
        f"{row.name}.{what}": getattr(row, what)
        for row in result.rows
        for what in ("precision", "recall", "map50", "map50_95")
    }
    numbers |= {f"summary.{name}": value for name, value in result.summary.items()}
    for size in result.details.sizes if result.details else ():
        numbers |= {
            f"size.{size.name}.{what}": getattr(size, what) for what in ("map50", "map50_95")
        }
    for row in result.details.motion if result.details else ():
        numbers |= {
            f"motion.{row.name}.{what}": getattr(row, what) for what in ("map50", "map50_95")
        }
    return numbers
