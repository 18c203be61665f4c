"""Reading what ``torch.save`` wrote without ever running code that a file could hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dmanet.runs.pickled_names import foreign_names
from pipeline.errors import CheckpointError, UsageError


def load_plain(path: Path) -> Any:
    """Read tensors and plain containers that ``torch.save`` wrote, onto the CPU.

    Raises:
        UsageError: there is no such file.
        CheckpointError: it is damaged, is something else, or holds more than plain data.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such checkpoint; give a file that `dmanet train` wrote.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises whatever its layers do
        unsafe = _unsafe_globals(path)
        if unsafe:
            raise CheckpointError(
                f"{path}: holds Python objects that could run code when loaded "
                f"({', '.join(unsafe)}); it was not loaded, save its state dict of tensors alone."
            ) from None
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint ({type(error).__name__}); it is truncated or "
            "something else, use another file."
        ) from None


def _unsafe_globals(path: Path) -> list[str]:
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # not torch's zip format
        return foreign_names(path)


def check_format(content: Any, wanted: str, version: int, path: Path) -> None:
    """Check the ``format`` and ``version`` that a file of ours states.

    Raises:
        CheckpointError: they are not the ones ``wanted``.
    """
    if not isinstance(content, Mapping) or content.get("format") != wanted:
        raise CheckpointError(
            f"{path}: is not a checkpoint of this project; `dmanet import-weights` reads one of the "
            "released code."
        )
    if str(content.get("version")) != str(version):
        raise CheckpointError(
            f"{path}: has version {content.get('version')}, this release reads {version}; use the "
            "release that wrote it."
        )
