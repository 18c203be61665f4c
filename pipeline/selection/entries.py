"""What a manifest says of each recording, of a subset's origin, and in total.

``data_manifests/README.md`` documents every field; :mod:`pipeline.selection.manifest` is the file.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field

from pipeline.defects import Defect
from pipeline.release.label_offset import FARTHEST
from pipeline.release.members import MOST_BOXES
from pipeline.release.shards import SPLITS, WINDOWS_PER_SHARD
from pipeline.selection.strategy import Strategy

#: Unknown and missing fields and other types are refused when a manifest is read.
STRICT = ConfigDict(extra="forbid", strict=True)

_LARGEST_SIDE = 1 << 14  # DAT events hold 14 bits for each coordinate
_Side = Annotated[int, Field(ge=1, le=_LARGEST_SIDE)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Bytes = Annotated[int, Field(ge=0, lt=2**60)]  # so that what is guessed on top of it fits 63 bits
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Time = Annotated[int, Field(ge=0, lt=2**32)]  # µs; that of an event has 32 bits
_ShardNumber = Annotated[int, Field(ge=0, lt=10**9)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Difference = Annotated[float, Field(ge=-1, le=1)]
_Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Word = Annotated[str, Field(pattern=r"^[a-z]{1,20}$")]
_Lag = Annotated[int, Field(ge=-FARTHEST, le=FARTHEST)]  # windows


def _in_order(times: tuple[int, int]) -> tuple[int, int]:
    if times[0] > times[1]:
        raise ValueError("the last time is before the first")
    return times


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Each once; whether the class map has them, the manifest checks as a whole."""
    if len(set(names)) < len(names):
        raise ValueError("a class is named twice")
    return names


def _of_splits(values: dict[str, Any]) -> dict[str, Any]:
    if not set(values) <= set(SPLITS):
        raise ValueError(f"each is one of {', '.join(SPLITS)}")
    return values


def _known_strategy(name: str) -> str:
    if name not in list(Strategy):
        raise ValueError(f"it is none of {', '.join(Strategy)}")
    return name


class ShardEntry(NamedTuple):
    """One shard: sizes in bytes and SHA-256 of its two files, and how many windows it holds.

    ``None`` stands for a file that is missing or, where only labels were scanned, not known. The size of
    an event file that is not on disk may then come from a listing.
    """

    number: _ShardNumber
    event_bytes: _Bytes | None
    label_bytes: _Bytes | None
    windows: Annotated[int, Field(ge=0, le=WINDOWS_PER_SHARD)]
    event_sha256: _Sha256 | None
    label_sha256: _Sha256 | None


class DefectPlace(NamedTuple):
    """Where a defect was seen; ``member`` is ``e0``…``l9``, ``None`` for the shard as a whole."""

    defect: Defect
    shard: _ShardNumber
    member: Annotated[str, Field(pattern=r"^[el][0-9]$")] | None


class MarkedWindow(NamedTuple):
    """A window with faulty boxes: ``boxes`` are rows of its member, each with its fault."""

    shard: _ShardNumber
    member: Annotated[int, Field(ge=0, lt=WINDOWS_PER_SHARD)]
    boxes: tuple[tuple[Annotated[int, Field(ge=0, lt=MOST_BOXES)], Defect], ...]


class OffsetEntry(NamedTuple):
    """By how many windows boxes are late; see :class:`pipeline.release.label_offset.LabelOffset`."""

    windows: _Lag | None
    low: _Lag
    high: _Lag
    boxes: _Count


@dataclass(frozen=True)
class LabelCheckEntry:
    """What the checks of boxes beside each other, events and tracks gave.

    Attributes:
        faults: Faulty boxes by fault and class name, all classes; faults that occur alone.
        offset: Between boxes and events; ``None`` where only labels were scanned.
        worst: The windows with most faulty boxes.
        motion: Boxes by how they move, by the names of :data:`pipeline.release.motion.MOTIONS`; ``None``
            in a manifest of before this was looked at.
    """

    __pydantic_config__ = STRICT

    faults: dict[Defect, dict[str, _Count]]
    offset: OffsetEntry | None
    worst: tuple[MarkedWindow, ...]
    motion: dict[str, _Count] | None = None


@dataclass(frozen=True)
class RecordingEntry:
    """What one recording holds.

    Attributes:
        id: ``split/filelist/name``.
        sensor: Width and height in pixels.
        bytes: Sizes of all files together.
        windows: How many members its files have.
        events: How many can be read; ``None`` where only labels were scanned.
        time_us: Time of the first and the last event in µs, of boxes where only labels were scanned;
            ``None`` where none says a time.
        labels: Boxes by class name, in the order of the class map, all that are stored.
        kept: Boxes by class name, those the label rules keep.
        defects: How often each fault occurs.
        defect_places: The first few places of each fault.
        digest: Covers the bytes of every file; ``None`` where only labels were scanned.
        shards: In the order of their numbers.
        label_checks: What a look at the boxes gave; ``None`` in a manifest of before there were checks.
    """

    __pydantic_config__ = STRICT

    id: str
    sensor: tuple[_Side, _Side]
    bytes: _Bytes
    windows: _Count
    events: _Count | None
    time_us: Annotated[tuple[_Time, _Time], AfterValidator(_in_order)] | None
    labels: dict[str, _Count]
    kept: dict[str, _Count]
    defects: dict[Defect, _Count]
    defect_places: tuple[DefectPlace, ...]
    digest: _Sha256 | None
    shards: tuple[ShardEntry, ...]
    label_checks: LabelCheckEntry | None = None

    @property
    def split(self) -> str:
        """The split it belongs to: ``train``, ``val`` or ``test``."""
        return self.id.split("/")[0]

    @property
    def gaps(self) -> int:
        """How many windows do not follow the one before them."""
        return self.defects.get(Defect.TIME_GAP, 0)

    @cached_property
    def kept_counts(self) -> np.ndarray:
        """Boxes the label rules keep, int64 ``[C]``, by class number."""
        return np.array(list(self.kept.values()), np.int64)


@dataclass(frozen=True)
class SplitReached:
    """What the choice of one split came to; shares are of its boxes that the label rules keep.

    Attributes:
        budget: Bytes at most, with what other splits left over.
        bytes: Bytes chosen.
        recordings: How many are chosen, and of how many.
        filelists: How many file lists they are from, and of how many.
        days: How many days they are from, and of how many; names without a date count as one.
        hours: Hours of windows chosen, and of how many.
        kl: Kullback-Leibler divergence of the class shares from the source's, in nats.
        drift: Share less the share in the source, by class.
        method: A :class:`pipeline.selection.choice.Method`'s name.
        reached: For ``balanced`` the smallest class share, for ``stratified`` and ``target`` the total
            variation from the shares sought; ``None`` where nothing was sought.
        bound: What no choice as full surpasses, as far as it is known.
        ended: A :class:`pipeline.selection.optimum.Ended`'s name, where the solver had a part.
    """

    __pydantic_config__ = STRICT

    budget: _Bytes
    bytes: _Bytes
    recordings: tuple[_Count, _Count]
    filelists: tuple[_Count, _Count]
    days: tuple[_Count, _Count]
    hours: tuple[_Positive, _Positive]
    kl: _Positive
    drift: dict[str, _Difference]
    method: _Word
    reached: _Share | None
    bound: _Share | None
    ended: _Word | None


@dataclass(frozen=True)
class SubsetProvenance:
    """How a subset was chosen: enough to choose it again from the same source manifest.

    Attributes:
        source_digest: Digest of the source manifest's content.
        source_recordings: How many recordings that held.
        source_bytes: How many bytes.
        strategy: A :class:`pipeline.selection.strategy.Strategy`'s name.
        budget: Bytes at most.
        seed: Of the draw.
        classes: Names of the classes it was chosen for.
        estimated: Event files were not on disk, and their sizes are a guess from the release's mean.
        split_budgets: Bytes at most by split, where each had its own.
        target: Shares asked for by class name, for ``target``.
        include: Patterns of the ids considered; none stands for all.
        exclude: Patterns of ids that were not considered.
        solver: Name and version of what solved it, where a solver had a part.
        reached: What came of it, by split.
    """

    __pydantic_config__ = STRICT

    source_digest: _Sha256
    source_recordings: _Count
    source_bytes: _Bytes
    strategy: Annotated[str, AfterValidator(_known_strategy)]
    budget: Annotated[int, Field(ge=1, lt=2**63)]
    seed: _Count
    classes: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_each_once)]
    estimated: bool
    split_budgets: Annotated[dict[str, _Bytes], AfterValidator(_of_splits)] | None = None
    target: dict[str, _Share] | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    solver: str | None = None
    reached: Annotated[dict[str, SplitReached], AfterValidator(_of_splits)] | None = None

    def content(self) -> dict[str, Any]:
        """The fields as the file has them: those that came later only where they say something."""
        said = asdict(self)
        return {key: value for key, value in said.items() if value is not None}


@dataclass(frozen=True)
class Totals:
    """Sums over recordings; see :class:`RecordingEntry` for the fields."""

    __pydantic_config__ = STRICT

    recordings: _Count
    shards: _Count
    bytes: _Bytes
    windows: _Count
    events: _Count | None
    labels: dict[str, _Count]
    kept: dict[str, _Count]
    defects: dict[Defect, _Count]


def recording_digest(shards: Iterable[ShardEntry]) -> str:
    """SHA-256 over the numbers and digests of a recording's files, in their order."""
    rows = [[s.number, s.event_sha256, s.label_sha256] for s in shards]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
