"""One window of a release as it is read, and the one answer to what is wrong with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.defects import Defect, EventFacts
from pipeline.errors import ShardError
from pipeline.release.members import read_events, read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.shards import WINDOW_US


@dataclass(frozen=True)
class Window:
    """What a window holds, or why it cannot be used.

    Attributes:
        shard: Number of its shard.
        member: Number K of its members ``eK`` and ``lK``.
        events: ``EVENT_DTYPE [N]``, the fault for which they cannot be used, or ``None`` where they
            are not looked at.
        labels: ``LABEL_DTYPE [M]``, the fault, or ``None``, likewise.
    """

    shard: int
    member: int
    events: np.ndarray | ShardError | None
    labels: np.ndarray | ShardError | None

    @property
    def fault(self) -> ShardError | None:
        """Why the window as a whole cannot be used; that of its labels, if both have one."""
        for content in (self.labels, self.events):
            if isinstance(content, ShardError):
                return content
        return None


@dataclass(frozen=True)
class FoundDefect:
    """One kind of defect in one window: how often, and in which member (``e0``…``l9``)."""

    defect: Defect
    member: str
    count: int


def read_window(
    shard: int,
    member: int,
    events: NpzFile | ShardError | None,
    labels: NpzFile | ShardError | None,
) -> Window:
    """Read one window of a shard; both members, whatever is wrong with one of them.

    Args:
        shard: The shard's number.
        member: The window's number in the shard.
        events: The shard's event file, the fault of the file, or ``None`` to leave events out.
        labels: Its label file, likewise.
    """
    return Window(
        shard, member, _read(read_events, events, member), _read(read_labels, labels, member)
    )


def window_defects(
    window: Window, facts: EventFacts | None, boxes: Mapping[Defect, int]
) -> list[FoundDefect]:
    """Everything that is wrong with one window by itself, those of its events first.

    Events and labels are judged apart: a fault of one hides nothing in the other. A single event
    shares its time and polarity with no other, which is no defect.
    :class:`pipeline.release.gaps.Clock` judges whether the window follows the one before it.

    Args:
        window: The window as read.
        facts: Facts of its events; ``None`` where they cannot be used.
        boxes: The defects of its boxes, counted: :func:`pipeline.release.labels.label_defects`, and
            :meth:`pipeline.release.label_checks.BoxFaults.counts` where they were looked for.
    """
    found: list[tuple[Defect, str, int]] = []
    member = f"e{window.member}"
    if isinstance(window.events, ShardError):
        found.append((window.events.defect, member, 1))
    if facts is not None:
        found += [(defect, member, count) for defect, count in _event_defects(facts)]
    member = f"l{window.member}"
    if isinstance(window.labels, ShardError):
        found.append((window.labels.defect, member, 1))
    found += [(defect, member, count) for defect, count in boxes.items()]
    return [FoundDefect(*row) for row in found if row[2]]


def _event_defects(facts: EventFacts) -> list[tuple[Defect, int]]:
    several = facts.in_range > 1
    first, last = facts.first_us or 0, facts.last_us or 0
    is_long = facts.in_range > 0 and first // WINDOW_US != last // WINDOW_US
    return [
        (Defect.EMPTY_WINDOW, int(facts.in_range == 0)),
        (Defect.SINGLE_POLARITY, int(several and facts.positive in (0, facts.in_range))),
        (Defect.SINGLE_TIMESTAMP, int(several and first == last)),
        (Defect.LONG_WINDOW, int(is_long)),
        (Defect.EVENT_OUT_OF_FRAME, facts.total - facts.in_range),
        (Defect.UNSORTED_TIME, int(not facts.is_sorted)),
    ]


def _read(
    read: Callable[[NpzFile, int], np.ndarray], file: NpzFile | ShardError | None, member: int
) -> np.ndarray | ShardError | None:
    if not isinstance(file, NpzFile):
        return file
    try:
        return read(file, member)
    except ShardError as error:
        # Where it was raised is of no use, and would keep the whole file in memory.
        error.__context__ = None
        return error.with_traceback(None)
