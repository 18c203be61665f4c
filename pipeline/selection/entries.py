"""What a manifest says of each recording, of a subset's origin, and in total.

``data_manifests/README.md`` documents every field; :mod:`pipeline.selection.manifest` is the file.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field

from pipeline.defects import Defect
from pipeline.release.label_offset import FARTHEST
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.members import MOST_BOXES
from pipeline.release.shards import WINDOWS_PER_SHARD
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
_Lag = Annotated[int, Field(ge=-FARTHEST, le=FARTHEST)]  # windows


def _in_order(times: tuple[int, int]) -> tuple[int, int]:
    if times[0] > times[1]:
        raise ValueError("the last event is before the first")
    return times


def _known_classes(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names) or not set(names) <= set(CLASS_NAMES):
        raise ValueError(f"each is one of {', '.join(CLASS_NAMES)}, named once")
    return names


def _known_strategy(name: str) -> str:
    if name not in list(Strategy):
        raise ValueError(f"it is none of {', '.join(Strategy)}")
    return name


class ShardEntry(NamedTuple):
    """One shard: sizes in bytes and SHA-256 of its two files, and how many windows it holds.

    ``None`` stands for a file that is missing or, where only labels were scanned, not known.
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
    """

    __pydantic_config__ = STRICT

    faults: dict[Defect, dict[str, _Count]]
    offset: OffsetEntry | None
    worst: tuple[MarkedWindow, ...]


@dataclass(frozen=True)
class RecordingEntry:
    """What one recording holds.

    Attributes:
        id: ``split/filelist/name``.
        sensor: Width and height in pixels.
        bytes: Sizes of all files together.
        windows: How many members its files have.
        events: How many can be read; ``None`` where only labels were scanned.
        time_us: Time of the first and the last event in µs; ``None`` where no event was read.
        labels: Boxes by class name, all that are stored.
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
        """Boxes the label rules keep, int64 ``[7]``, by class number."""
        return np.array([self.kept[name] for name in CLASS_NAMES], np.int64)


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
    """

    __pydantic_config__ = STRICT

    source_digest: _Sha256
    source_recordings: _Count
    source_bytes: _Bytes
    strategy: Annotated[str, AfterValidator(_known_strategy)]
    budget: Annotated[int, Field(ge=1, lt=2**63)]
    seed: _Count
    classes: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_known_classes)]
    estimated: bool


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
