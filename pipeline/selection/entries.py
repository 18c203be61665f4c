"""What a manifest says of each recording, of a subset's origin, and in total.

``data_manifests/README.md`` documents every field; :mod:`pipeline.selection.manifest` is the file.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

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

    budget: int
    bytes: int
    recordings: tuple[int, int]
    filelists: tuple[int, int]
    days: tuple[int, int]
    hours: tuple[float, float]
    kl: float
    drift: dict[str, float]
    method: str
    reached: float | None
    bound: float | None
    ended: str | None


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

    source_digest: str
    source_recordings: int
    source_bytes: int
    strategy: str
    budget: int
    seed: int
    classes: tuple[str, ...]
    estimated: bool
    split_budgets: dict[str, int] | None = None
    target: dict[str, float] | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    solver: str | None = None
    reached: dict[str, SplitReached] | None = None

    def content(self) -> dict[str, Any]:
        """The fields as the file has them: those that came later only where they say something."""
        said = asdict(self)
        return {key: value for key, value in said.items() if value is not None}


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
