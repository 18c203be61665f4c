"""Files of weights on their own: safetensors, with the network's settings as JSON in the header."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dmanet.runs.checkpoint import load_checkpoint
from dmanet.runs.claims import WEIGHTS_FORMAT, WEIGHTS_VERSION, Claims, claims_of_weights
from dmanet.runs.digests import content_digest
from dmanet.runs.records import Weights, stored_settings
from dmanet.runs.safetensors_header import read_header, starts_like_safetensors
from dmanet.runs.stored_classes import stored_classes
from dmanet.settings import ModelSettings, load_model_settings
from pipeline.errors import CheckpointError
from pipeline.files.whole import written_whole


def save_weights(path: Path, weights: Weights) -> None:
    """Write weights as one safetensors file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    tensors = {name: tensor.contiguous() for name, tensor in weights.tensors.items()}
    header = {
        "format": WEIGHTS_FORMAT,
        "version": str(WEIGHTS_VERSION),
        "settings": weights.settings.model_dump_json(),
        "classes": json.dumps(weights.classes and stored_classes(weights.classes)),
        "cache_settings": json.dumps(stored_settings(weights.cache_settings)),
        "digest": _digest(
            Claims(_complete(weights.settings), weights.classes, weights.cache_settings), tensors
        ),
    }
    with written_whole(path) as unfinished:
        # Not its `save_file`, which does not let through why a disk did not take it.
        unfinished.write_bytes(save(tensors, header))


def load_weights(path: Path) -> Weights:
    """Read the network of a checkpoint or of a file of weights, its tensors on the CPU.

    Of a checkpoint with averaged weights it is these.

    Raises:
        UsageError: there is no such file.
        CheckpointError: it is neither of the two, is damaged, or holds more than plain data.
        OSError: it cannot be read.
    """
    if starts_like_safetensors(path):
        return _load_safetensors(path)
    return load_checkpoint(path).weights()


def _load_safetensors(path: Path) -> Weights:
    header = read_header(path)
    claims = claims_of_weights(header, path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in header.tensors}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: cannot be read as weights ({error}).") from None
    wanted = header.metadata.get("digest")
    if wanted is not None and wanted != _digest(claims, tensors):
        raise CheckpointError(
            f"{path}: is damaged (its content does not match its digest); use another file."
        )
    return Weights(claims.settings, tensors, claims.classes, str(path), claims.cache_settings)


def _complete(settings: ModelSettings) -> ModelSettings:
    """The same with every key set, as it is written."""
    return load_model_settings(settings.model_dump(mode="json"))


def _digest(claims: Claims, tensors: dict[str, Tensor]) -> str:
    content = {
        # As the file has them: one of an earlier release lacks what came later.
        "settings": claims.settings.model_dump(exclude_unset=True),
        "classes": claims.classes and stored_classes(claims.classes),
        "tensors": tensors,
    }
    remembered = stored_settings(claims.cache_settings)
    # Where there are none the digest is that of earlier releases, which knew none.
    return content_digest(content | ({"cache_settings": remembered} if remembered else {}))
