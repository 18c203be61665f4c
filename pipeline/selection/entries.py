"""What a manifest says of each recording, of a subset's origin, and in total.

``data_manifests/README.md`` documents every field; :mod:`pipeline.selection.manifest` is the file.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from pydantic import ConfigDict

from pipeline.defects import Defect
from pipeline.release.labels import CLASS_NAMES

#: Unknown and missing fields and other types are refused when a manifest is read.
STRICT = ConfigDict(extra="forbid", strict=True)


class ShardEntry(NamedTuple):
    """One shard: sizes in bytes and SHA-256 of its two files, and how many windows it holds.

    ``None`` stands for a file that is missing or, where only labels were scanned, not known.
    """

    number: int
    event_bytes: int | None
    label_bytes: int | None
    windows: int
    event_sha256: str | None
    label_sha256: str | None


class DefectPlace(NamedTuple):
    """Where a defect was seen; ``member`` is ``e0``…``l9``, ``None`` for the shard as a whole."""

    defect: Defect
    shard: int
    member: str | None


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
    """

    __pydantic_config__ = STRICT

    id: str
    sensor: tuple[int, int]
    bytes: int
    windows: int
    events: int | None
    time_us: tuple[int, int] | None
    labels: dict[str, int]
    kept: dict[str, int]
    defects: dict[Defect, int]
    defect_places: tuple[DefectPlace, ...]
    digest: str | None
    shards: tuple[ShardEntry, ...]

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

    source_digest: str
    source_recordings: int
    source_bytes: int
    strategy: str
    budget: int
    seed: int
    classes: tuple[str, ...]
    estimated: bool


@dataclass(frozen=True)
class Totals:
    """Sums over recordings; see :class:`RecordingEntry` for the fields."""

    __pydantic_config__ = STRICT

    recordings: int
    shards: int
    bytes: int
    windows: int
    events: int | None
    labels: dict[str, int]
    kept: dict[str, int]
    defects: dict[Defect, int]


def recording_digest(shards: Iterable[ShardEntry]) -> str:
    """SHA-256 over the numbers and digests of a recording's files, in their order."""
    rows = [[s.number, s.event_sha256, s.label_sha256] for s in shards]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
