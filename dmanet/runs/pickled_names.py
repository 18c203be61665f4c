"""What a pickle would import, read from its instructions alone: nothing is imported or run."""

import io
import pickletools
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from pipeline.files.inputs import open_regular

# A file that torch wrote before its zip format is five pickles, then raw numbers.
_PICKLES_AT_MOST = 5
_LOOKED_AT = 16 << 20  # bytes at the begin of a file
_INSTRUCTIONS_AT_MOST = 4_000_000
# What tensors and state dicts are made of.
_HARMLESS = ("collections.OrderedDict", "torch._utils._rebuild_")


def foreign_names(path: Path) -> list[str]:
    """Dotted names that the pickles at the start of a file import, apart from those of tensors.

    For files that are not zip archives. Empty where the file begins with no whole pickle, or holds
    nothing but tensors and plain values.
    """
    with open_regular(path) as file:
        return foreign_names_of(file.read(_LOOKED_AT))


def foreign_names_of(data: bytes) -> list[str]:
    """The same for the begin of a file, or the index of a zip archive."""
    names: set[str] = set()
    pickles = io.BytesIO(data)
    for _ in range(_PICKLES_AT_MOST):
        try:
            names |= _imports(islice(pickletools.genops(pickles), _INSTRUCTIONS_AT_MOST))
        except (ValueError, IndexError, MemoryError, OverflowError):  # no pickle, or the end
            break
    return sorted(
        name for name in names if not name.startswith(_HARMLESS) and not _is_storage(name)
    )


def _imports(
    instructions: Iterable[tuple[pickletools.OpcodeInfo, object, int | None]],
) -> set[str]:
    """Names imported by the instructions of one pickle."""
    names: set[str] = set()
    texts: list[str] = []  # every text put on the stack, in order
    memo: dict[object, str | None] = {}
    top: str | None = None  # what the last instruction put on the stack, if that is a text
    for opcode, argument, _ in instructions:
        kind = opcode.name
        if kind in ("GLOBAL", "INST"):
            names.add(str(argument).replace(" ", "."))
        elif kind == "STACK_GLOBAL":
            names.add(".".join(texts[-2:]))
        elif kind == "MEMOIZE":
            memo[len(memo)] = top
            continue
        elif kind in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = top
            continue
        if kind in ("GET", "BINGET", "LONG_BINGET"):
            top = memo.get(argument)
        else:
            top = argument if isinstance(argument, str) and "UNICODE" in kind else None
        if top is not None:
            texts.append(top)
    return names


def _is_storage(name: str) -> bool:
    return name.startswith("torch.") and name.endswith("Storage")
