"""What the zarr.json of a group says, read strictly: nothing in it is trusted for standing there.

A cache may have been downloaded, edited or damaged. What comes out of here has the keys and types that
it promises, every number within its range.
"""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from pipeline.cache import records as layout
from pipeline.defects import Defect
from pipeline.errors import CacheError, UsageError
from pipeline.files.documents import MalformedError, parse_json
from pipeline.files.inputs import read_regular
from pipeline.pillars.encoding import MAX_SENSOR_SIDE
from pipeline.release.shards import WINDOWS_PER_SHARD

GROUP_FILE = "zarr.json"
LARGEST_GROUP_FILE = 64 << 20  # bytes; a recording of a day with every window left out has 20 MB

_STRICT = ConfigDict(extra="forbid", strict=True)
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0, lt=2**63)]


def _known_defect(name: str) -> str:
    if name not in list(Defect):
        raise ValueError(f"'{name}' is no known defect")
    return name


def _of_every_array(digests: dict[str, str]) -> dict[str, str]:
    if set(digests) != set(layout.ARRAYS):
        raise ValueError(f"there must be one for each of {', '.join(layout.ARRAYS)}")
    return digests


_DefectName = Annotated[str, AfterValidator(_known_defect)]


@with_config(_STRICT)
class SourceFile(TypedDict):
    """A file that a recording was read from."""

    name: Annotated[str, Field(pattern=r"^(ev|lb)[0-9]{1,9}\.npz$")]
    bytes: _Count
    sha256: _Sha256


@with_config(_STRICT)
class SourceIdentity(TypedDict):
    """All files that a recording was read from, and one digest over them."""

    digest: _Sha256
    files: list[SourceFile]


@with_config(_STRICT)
class LeftOutWindow(TypedDict):
    """A window of the sources that is left out, or replaced by the one before it."""

    shard: Annotated[int, Field(ge=0, lt=10**9)]
    member: Annotated[int, Field(ge=0, lt=WINDOWS_PER_SHARD)]
    defect: _DefectName
    repeated: bool


@with_config(_STRICT)
class FoundDefects(TypedDict):
    """Counts of faults by name, and the windows they cost."""

    counts: dict[_DefectName, _Count]
    left_out: list[LeftOutWindow]


@with_config(_STRICT)
class RecordingAttributes(TypedDict):
    """Attributes of a recording's group.

    Attributes:
        recording: its id, ``<split>/<filelist>/<recording>``.
        sensor: width and height in pixels.
        windows: their number.
        source: the files read, with their bytes and digests.
        defects: what was found wrong in them, and the windows left out for it.
        digests: of every array, see :func:`pipeline.cache.records.array_digest`.
        digest: of all that stands above, see :func:`pipeline.cache.records.attributes_digest`.
    """

    recording: str
    sensor: Annotated[
        list[Annotated[int, Field(ge=1, le=MAX_SENSOR_SIDE)]], Field(min_length=2, max_length=2)
    ]
    windows: Annotated[int, Field(ge=0, lt=2**31)]
    source: SourceIdentity
    defects: FoundDefects
    digests: Annotated[dict[str, _Sha256], AfterValidator(_of_every_array)]
    digest: _Sha256


@cache
def _recording_adapter() -> "TypeAdapter[RecordingAttributes]":
    return TypeAdapter(RecordingAttributes)


def parse_group(data: bytes) -> dict[str, Any]:
    """The attributes in a group's zarr.json.

    Raises:
        MalformedError: it is not that of a group.
    """
    document = parse_json(data)
    attributes = document.get("attributes") if isinstance(document, dict) else None
    if not isinstance(attributes, dict) or document.get("node_type") != "group":
        raise MalformedError("it is not that of a zarr group")
    return attributes


def parse_recording(attributes: Mapping[str, Any]) -> RecordingAttributes:
    """A recording's attributes, checked.

    Raises:
        MalformedError: a key is missing, unknown, or has a value that it cannot have.
    """
    try:
        return _recording_adapter().validate_python(attributes)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise MalformedError(f"{where}: {message}") from None
    except UnicodeEncodeError:  # half of a character's UTF-16 code, as JSON may escape it
        raise MalformedError("a text in it is not Unicode") from None


def root_attributes(root: Path) -> dict[str, Any]:
    """Attributes of the zarr group in the folder ``root``, as they stand.

    Raises:
        CacheError: its zarr.json is not there, or not that of a group.
        OSError: it cannot be read.
    """
    try:
        return parse_group(read_regular(root / GROUP_FILE, LARGEST_GROUP_FILE))
    except (FileNotFoundError, NotADirectoryError):
        raise _unreadable(root, "it is not there") from None
    except (MalformedError, UsageError) as error:
        raise _unreadable(root, str(error)) from None


def recording_attributes(folder: Path) -> RecordingAttributes:
    """Attributes of the recording that was published in ``folder``, checked.

    Raises:
        CacheError: its zarr.json is not there, or does not say what it must.
        OSError: it cannot be read.
    """
    attributes = root_attributes(folder)
    try:
        return parse_recording(attributes)
    except MalformedError as error:
        raise _unreadable(folder, str(error)) from None


def _unreadable(folder: os.PathLike[str], why: str) -> CacheError:
    return CacheError(
        f"{os.fspath(folder)}: its zarr.json cannot be read ({why.rstrip('.')}); delete the folder "
        "and run `dmanet-data voxelize` again."
    )
