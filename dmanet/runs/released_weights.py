"""Checkpoint files of the released code, in and out; which name is which is in `released_names`."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from dmanet.runs.plain_files import load_plain, save_plain
from dmanet.runs.records import Weights
from dmanet.runs.released_names import to_released
from pipeline.errors import CheckpointError
from pipeline.files.whole import written_whole


def load_released(path: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint of the released code, by its own names.

    Raises:
        UsageError: there is no such file.
        CheckpointError: it is damaged, holds more than plain data, or no state dict.
    """
    content = load_plain(path)
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if (
        not isinstance(state, Mapping)
        or not state
        or not all(
            isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
        )
    ):
        raise CheckpointError(
            f"{path}: holds no state dict; expected a checkpoint of the released code, a dictionary "
            "whose 'state_dict' maps names to tensors."
        )
    return dict(state)


def save_released(path: Path, weights: Weights) -> None:
    """Write weights as a checkpoint that the released code loads, whole or not at all.

    Raises:
        CheckpointError: they do not fit their own settings.
        OSError: the file cannot be written.
    """
    weights.check()
    with written_whole(path) as unfinished:
        save_plain({"state_dict": to_released(weights.tensors, weights.settings)}, unfinished)
