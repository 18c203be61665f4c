"""Files of weights on their own: safetensors, with the network's settings as JSON in the header."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dmanet.runs.checkpoint import load_checkpoint
from dmanet.runs.plain_files import check_format
from dmanet.runs.records import Weights
from dmanet.settings import load_model_settings
from pipeline.errors import CheckpointError, SettingsError
from pipeline.files.whole import written_whole

WEIGHTS_FORMAT = "dmanet-weights"
WEIGHTS_VERSION = 1


def save_weights(path: Path, weights: Weights) -> None:
    """Write weights as one safetensors file, whole or not at all."""
    header = {
        "format": WEIGHTS_FORMAT,
        "version": str(WEIGHTS_VERSION),
        "settings": weights.settings.model_dump_json(),
        "classes": json.dumps(weights.classes),
    }
    tensors = {name: tensor.contiguous() for name, tensor in weights.tensors.items()}
    with written_whole(path) as unfinished:
        save_file(tensors, unfinished, metadata=header)


def load_weights(path: Path) -> Weights:
    """Read the network of a checkpoint or of a file of weights, its tensors on the CPU.

    Of a checkpoint with averaged weights it is these.

    Raises:
        UsageError: there is no such file.
        CheckpointError: it is neither of the two, is damaged, or holds more than plain data.
    """
    if _starts_like_safetensors(path):
        return _load_safetensors(path)
    return load_checkpoint(path).weights()


def _starts_like_safetensors(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"  # the header's length, then its JSON


def _load_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            check_format(header, WEIGHTS_FORMAT, WEIGHTS_VERSION, path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        settings = load_model_settings(json.loads(header["settings"]), str(path))
        classes = json.loads(header["classes"])
    except (SafetensorError, KeyError, ValueError, SettingsError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights ({error}).") from None
    return Weights(settings, tensors, None if classes is None else tuple(classes), str(path))
