"""The header of a safetensors file, every claim checked against the file; read without torch."""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.errors import CheckpointError, UsageError
from pipeline.files.documents import MalformedError, parse_json
from pipeline.files.inputs import open_regular

#: Bytes; that of the largest network here has 100 kB.
LARGEST_HEADER = 4 << 20
_LENGTH = struct.Struct("<Q")
#: Item sizes of the kinds of numbers that our networks have.
_ITEM_SIZES = {"F32": 4, "I64": 8}
_Size = Annotated[int, Field(ge=0, lt=2**48)]


class _Entry(BaseModel):
    """One tensor's claims."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: str
    shape: list[_Size]
    data_offsets: tuple[_Size, _Size]


_ENTRIES = TypeAdapter(dict[str, _Entry])
_METADATA = TypeAdapter(dict[str, str])


@dataclass(frozen=True)
class Header:
    """What a file says of itself: texts by name, and the dtype and shape of each tensor."""

    metadata: dict[str, str]
    tensors: dict[str, tuple[str, tuple[int, ...]]]


def starts_like_safetensors(path: Path) -> bool:
    """Whether a file begins with a header's length and its JSON.

    Raises:
        UsageError: there is no such file, or it is no regular one.
        OSError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return file.read(9)[8:] == b"{"
    except FileNotFoundError:
        raise UsageError(
            f"{path}: no such checkpoint; give a file that `dmanet train` wrote."
        ) from None


def read_header(path: Path) -> Header:
    """The header of a safetensors file, whose tensors fill the rest of it, one after the other.

    Raises:
        UsageError: it is no regular file.
        CheckpointError: it is no such header, or claims what the file does not hold.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        beginning = file.read(_LENGTH.size)
        (length,) = _LENGTH.unpack(beginning.ljust(_LENGTH.size, b"\0"))
        if size < _LENGTH.size or length > min(LARGEST_HEADER, size - _LENGTH.size):
            raise _unreadable(path, "its header claims to be longer than it can be")
        text = file.read(length)
    try:
        document = parse_json(text)
        if not isinstance(document, dict):
            raise MalformedError("its header is no object")
        metadata = _METADATA.validate_python(document.pop("__metadata__", {}), strict=True)
        entries = _ENTRIES.validate_python(document)
    except MalformedError as error:
        raise _unreadable(path, str(error)) from None
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part)[:100] for part in problem["loc"])
        raise _unreadable(path, f"its header's '{name}': {problem['msg']}") from None
    _check_offsets(path, entries, size - _LENGTH.size - length)
    return Header(
        metadata, {name: (entry.dtype, tuple(entry.shape)) for name, entry in entries.items()}
    )


def _check_offsets(path: Path, entries: dict[str, _Entry], length: int) -> None:
    """The tensors follow each other without gaps, from 0 to the end of the file."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        if entry.dtype not in _ITEM_SIZES:
            raise _unreadable(path, f"the tensor '{name[:100]}' has the dtype {entry.dtype[:20]}")
        begin, stop = entry.data_offsets
        if begin != end or stop - begin != math.prod(entry.shape) * _ITEM_SIZES[entry.dtype]:
            raise _unreadable(path, f"the tensor '{name[:100]}' is not where it should be")
        end = stop
    if end != length:
        raise _unreadable(path, "it is longer or shorter than its tensors")


def _unreadable(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: cannot be read as weights ({reason}); it is damaged, truncated or something else, "
        "use another file."
    )
