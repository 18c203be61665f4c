"""What is asked of a subset, as people write it: budgets, target shares, patterns of ids."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from pipeline.errors import UsageError
from pipeline.release.shards import SPLITS
from pipeline.selection.entries import RecordingEntry

_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,20})?|\.\d{1,20}", re.ASCII)


def split_sizes(texts: Mapping[str, int]) -> dict[str, int]:
    """Bytes by split in the splits' order, each known and named at least once.

    Raises:
        UsageError: A split is unknown, or there is none.
    """
    for split in texts:
        if split not in SPLITS:
            raise UsageError(f"'{split}' is not a split; budgets are for {', '.join(SPLITS)}.")
    if not texts:
        raise UsageError("a budget by split names at least one split, for example train=30GB.")
    return {split: texts[split] for split in SPLITS if split in texts}


def named_values(text: str, what: str) -> dict[str, str]:
    """``a=1,b=2`` as a mapping of texts.

    Args:
        text: What was written.
        what: An example, for the message.

    Raises:
        UsageError: It is no such list, or a name stands twice.
    """
    found: dict[str, str] = {}
    for item in text.split(","):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not (name and equals and value):
            raise UsageError(f"'{item}' is not like {what}.")
        if name in found:
            raise UsageError(f"'{name}' stands twice in '{text}'.")
        found[name] = value
    return found


def parse_target(text: str) -> dict[str, float]:
    """``car=0.4,pedestrian=0.3`` as shares by class name.

    Raises:
        UsageError: It is no such list; :func:`checked_target` says what else.
    """
    values = named_values(text, "car=0.4")
    for value in values.values():
        if not _NUMBER.fullmatch(value):
            raise UsageError(f"'{value}' is not a share; write for example car=0.4.")
    return checked_target({name: float(value) for name, value in values.items()})


def checked_target(shares: Mapping[str, float]) -> dict[str, float]:
    """Shares by class name; which classes there are, a manifest knows.

    Raises:
        UsageError: A share is no part of 1, or they are more than 1 together.
    """
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise UsageError(f"{name}={share}: a share is from 0 to 1.")
    total = sum(shares.values())
    if not shares or total > 1 + 1e-9 or not total:
        raise UsageError(f"the shares asked for sum to {total:g}; give some, 1 at most together.")
    return dict(shares)


def matching(
    rows: Sequence[RecordingEntry], include: Iterable[str], exclude: Iterable[str]
) -> list[RecordingEntry]:
    """Recordings whose id fits one of ``include`` (all, where that is empty) and none of ``exclude``.

    A pattern is of the whole id, ``*`` for any text, ``?`` and ``[…]`` for a character.

    Raises:
        UsageError: A pattern fits no recording, or none is left.
    """
    include, exclude = tuple(include), tuple(exclude)
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(row.id, pattern) for row in rows):
            raise UsageError(
                f"the pattern '{pattern}' fits no recording; it is of the whole id, for example "
                "'train/*_2019-02-1*'."
            )
    left = [
        row
        for row in rows
        if (not include or any(fnmatchcase(row.id, pattern) for pattern in include))
        and not any(fnmatchcase(row.id, pattern) for pattern in exclude)
    ]
    if not left:
        raise UsageError("no recording is left; exclude fewer.")
    return left
