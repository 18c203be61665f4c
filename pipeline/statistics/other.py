"""What a comparison takes from another source: from its JSON file, read strictly, or measured now."""

import itertools
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import DataError
from pipeline.files.documents import LARGEST_DOCUMENT, MalformedError, parse_json
from pipeline.files.inputs import read_regular
from pipeline.release.classes import ClassNames
from pipeline.release.shards import SPLITS
from pipeline.statistics.schema import STATISTICS_FORMAT, STATISTICS_VERSION, Statistics
from pipeline.statistics.summaries import COUNT_EDGES, RATIO_EDGES, SIDE_EDGES, tidy

_Count = Annotated[int, Field(ge=0, lt=1 << 40)]  # sums of a million of them fit 64 bits
_SERIES = [{tidy(edge) for edge in edges} for edges in (COUNT_EDGES, SIDE_EDGES, RATIO_EDGES)]


class _Part(BaseModel):
    """A part of the file; what a comparison has no use for is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class OtherBins(_Part):
    """A histogram in the bins that all statistics use."""

    edges: Annotated[list[float], Field(max_length=1000)]
    counts: Annotated[dict[str, list[_Count]], Field(max_length=1000)]

    @model_validator(mode="after")
    def _fits(self) -> "OtherBins":
        bins = max(len(self.edges) - 1, 0)
        if any(len(row) != bins for row in self.counts.values()):
            raise ValueError("there must be one count for each bin")
        if any(low >= high for low, high in itertools.pairwise(self.edges)):
            raise ValueError("edges must ascend")
        if not any(series.issuperset(self.edges) for series in _SERIES):
            raise ValueError("these are not the edges that statistics have")
        return self


class OtherSource(_Part):
    """What the other statistics describe."""

    kind: Literal["cache", "manifest"]
    name: Annotated[str, Field(max_length=4096)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class OtherSplit(_Part):
    """One split of it."""

    recordings: _Count
    windows: _Count
    events: Annotated[int, Field(ge=0, lt=1 << 60)] | None
    kept: dict[str, _Count]


class OtherEvents(_Part):
    """Its events."""

    bins: OtherBins = Field(alias="per_window_histogram")


class OtherBoxes(_Part):
    """Its kept boxes; version 1 has no histogram of them in pixels."""

    side_histogram: OtherBins | None = None
    ratio_histogram: OtherBins | None = None


class OtherStatistics(_Part):
    """As much of a statistics file as two sources are compared by."""

    source: OtherSource
    classes: ClassNames
    splits: dict[str, OtherSplit]
    events: OtherEvents | None = None
    boxes: OtherBoxes | None = None

    @model_validator(mode="after")
    def _fits(self) -> "OtherStatistics":
        if set(self.splits) != set(SPLITS):
            raise ValueError(f"splits must be {', '.join(SPLITS)}")
        if any(set(row.kept) != set(self.classes) for row in self.splits.values()):
            raise ValueError("kept must count each of the classes")
        return self


def comparable(statistics: Statistics) -> OtherStatistics:
    """The same of statistics at hand, exactly as their file would give it."""
    # By way of plain values, so that tuples are the lists of JSON.
    return OtherStatistics.model_validate(_listed(statistics.to_json()))


def read_comparable(path: Path) -> OtherStatistics:
    """The same of a JSON file that ``dmanet-data stats --json`` wrote.

    Raises:
        DataError: it is none, of a later version, or has a value that it cannot have.
        OSError: it cannot be read.
    """
    again = "make one with `dmanet-data stats … --json`."
    try:
        content = parse_json(read_regular(path, LARGEST_DOCUMENT))
    except MalformedError as error:
        raise DataError(f"{path}: no file of statistics ({error}); {again}") from None
    if not isinstance(content, dict) or content.get("format") != STATISTICS_FORMAT:
        raise DataError(f"{path}: no file of statistics; {again}")
    version = content.get("version")
    if type(version) is not int or not 1 <= version <= STATISTICS_VERSION:
        raise DataError(
            f"{path}: statistics of version {str(version)[:40]}, this program reads 1 to "
            f"{STATISTICS_VERSION}; {again}"
        )
    try:
        return OtherStatistics.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])[:80]
        message = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{path}: malformed at '{where}' ({message}); {again}") from None
    except UnicodeEncodeError:  # half of a character's UTF-16 code, as JSON may escape it
        raise DataError(f"{path}: a text in it is not Unicode; {again}") from None


def is_statistics_file(path: Path) -> bool:
    """Whether a file says that it holds statistics; one that is no JSON does not."""
    try:
        content = parse_json(read_regular(path, LARGEST_DOCUMENT))
    except MalformedError:
        return False
    return isinstance(content, dict) and content.get("format") == STATISTICS_FORMAT


def histogram_of_all(bins: OtherBins) -> tuple[np.ndarray, np.ndarray]:
    """Edges ``[n + 1]``, and the sum of all series in the bins, int64 ``[n]``."""
    counts = np.zeros(max(len(bins.edges) - 1, 0), np.int64)
    for row in bins.counts.values():
        counts += np.array(row, np.int64)
    return np.array(bins.edges), counts


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(one) for key, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value
