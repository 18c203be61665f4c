"""Checkpoints of a run, and weights on their own. Nothing that could run code is ever unpickled.

A *checkpoint* is one file with everything a run needs to go on. *Weights* are one safetensors file
with the settings of their network, as JSON, in its header. Both serve `evaluate` and `predict`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dmanet.models.detector import DMANet, LevelState, State
from dmanet.recipes import RunSettings
from dmanet.runs.pickled_names import foreign_names
from dmanet.runs.released_names import to_released
from dmanet.settings import ModelSettings, load_model_settings
from dmanet.training.guards import Tally
from pipeline.errors import CheckpointError, SettingsError, UsageError
from pipeline.files import written_whole
from pipeline.settings import Settings, load_settings

CHECKPOINT_FORMAT = "dmanet-checkpoint"
WEIGHTS_FORMAT = "dmanet-weights"
CHECKPOINT_VERSION = 2
WEIGHTS_VERSION = 1


@dataclass(frozen=True)
class Weights:
    """A network's settings and its tensors by our names.

    ``classes``: the release's class number of each output class; None where that is not known.
    ``source`` names the file in messages.
    """

    settings: ModelSettings
    tensors: dict[str, Tensor]
    classes: tuple[int, ...] | None
    source: str

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any weight or setting, and with nothing else."""
        digest = hashlib.sha256(self.settings.model_dump_json().encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def build(self) -> DMANet:
        """The network with these weights.

        Raises:
            CheckpointError: they do not fit, naming the first tensor that does not.
        """
        model = DMANet(self.settings)
        expected = model.state_dict()
        for name in sorted(expected.keys() | self.tensors.keys()):
            problem = None
            if name not in self.tensors:
                problem = "is missing"
            elif name not in expected:
                problem = "is surplus"
            elif self.tensors[name].shape != expected[name].shape:
                found, wanted = tuple(self.tensors[name].shape), tuple(expected[name].shape)
                problem = f"has the shape {found} instead of {wanted}"
            if problem:
                raise CheckpointError(
                    f"{self.source}: belongs to another architecture than its settings say: "
                    f"the tensor '{name}' {problem}."
                )
        model.load_state_dict(self.tensors)
        return model


@dataclass(frozen=True)
class Checkpoint:
    """Where a training run stands: all it takes to go on as if it had never stopped.

    No random state is among it: a run draws nothing but its first weights and, from the seed, the
    epoch and the place of a window in it, its order of windows and their augmentation.

    Attributes:
        settings: everything that decides the run apart from the cache.
        model: the network's state dict.
        optimizer: the optimiser's state dict.
        scaler: the loss scaler's state dict; empty except in float16.
        average: state dict of the :class:`~dmanet.training.averaging.WeightAverage`; None without one.
        carried: state carried from the last batch to the next; None for none.
        epoch: epochs finished.
        position: batches of the epoch after those that are finished.
        step: training steps made or skipped; the place in the learning rate's schedule.
        tally: counts of the run's steps by kind, see :class:`dmanet.training.guards.Tally`.
        best_score: the best score of an epoch so far; None before the first.
        cache: fingerprint of the cache's settings.
        recordings: digests of the recordings that the run reads, by id.
        classes: the release's class number of each output class.
        source: the file it was read from, for messages.
    """

    settings: RunSettings
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    average: dict[str, Any] | None
    carried: State | None
    epoch: int
    position: int
    step: int
    tally: Tally
    best_score: float | None
    cache: str
    recordings: dict[str, str]
    classes: tuple[int, ...]
    source: str = "checkpoint"

    def weights(self) -> Weights:
        """The network to judge and to use: of averaged weights where there are any."""
        tensors = self.model if self.average is None else self.average["tensors"]
        return Weights(self.settings.model, tensors, self.classes, self.source)

    def trained_weights(self) -> Weights:
        """The network that training goes on with."""
        return Weights(self.settings.model, self.model, self.classes, self.source)


# Kept as they are; the others have a plain form of their own.
_PLAIN = (
    "model",
    "optimizer",
    "scaler",
    "average",
    "epoch",
    "position",
    "step",
    "best_score",
    "cache",
    "recordings",
    "classes",
)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; ``path`` is the old file or the whole new one at any moment."""
    content = {
        "format": CHECKPOINT_FORMAT,
        "version": CHECKPOINT_VERSION,
        "settings": checkpoint.settings.model_dump(mode="json"),
        "carried": checkpoint.carried and [dict(vars(level)) for level in checkpoint.carried],
        "tally": asdict(checkpoint.tally),
        **{name: getattr(checkpoint, name) for name in _PLAIN},
    }
    with written_whole(path) as unfinished:
        torch.save(content, unfinished)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, its tensors on the CPU.

    Raises:
        UsageError: there is no such file.
        CheckpointError: it is not a checkpoint, is damaged, or holds more than plain data.
    """
    content = _load_plain(path)
    _check_format(content, CHECKPOINT_FORMAT, CHECKPOINT_VERSION, path)
    try:
        carried = content["carried"]
        return Checkpoint(
            settings=load_settings(RunSettings, content["settings"], str(path)),
            carried=carried and tuple(LevelState(**level) for level in carried),
            tally=Tally(**content["tally"]),
            source=str(path),
            **{name: content[name] for name in _PLAIN},
        )
    except (KeyError, TypeError, ValueError, SettingsError) as error:
        raise CheckpointError(f"{path}: is not a whole checkpoint ({error}).") from None


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
    """The network of a checkpoint or of a file of weights; raises as :func:`load_checkpoint`."""
    if _starts_like_safetensors(path):
        return _load_safetensors(path)
    return load_checkpoint(path).weights()


def load_released(path: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint of the released code, by its own names.

    Raises:
        UsageError: there is no such file.
        CheckpointError: it is damaged, holds more than plain data, or no state dict.
    """
    content = _load_plain(path)
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if (
        not isinstance(state, Mapping)
        or not state
        or not all(isinstance(tensor, Tensor) for tensor in state.values())
    ):
        raise CheckpointError(
            f"{path}: holds no state dict; expected a checkpoint of the released code, a dictionary "
            "whose 'state_dict' maps names to tensors."
        )
    return dict(state)


def save_released(path: Path, weights: Weights) -> None:
    """Write weights as a checkpoint that the released code loads, whole or not at all."""
    with written_whole(path) as unfinished:
        torch.save({"state_dict": to_released(weights.tensors, weights.settings)}, unfinished)


def first_difference(found: Settings, wanted: Settings, prefix: str = "") -> str | None:
    """The first key in which two settings of one kind differ, with both values; None if none."""
    for key in type(found).model_fields:
        ours, theirs = getattr(found, key), getattr(wanted, key)
        if isinstance(ours, Settings):
            if inner := first_difference(ours, theirs, f"{prefix}{key}."):
                return inner
        elif ours != theirs:
            return f"{prefix}{key} = {ours}, not {theirs}"
    return None


def _load_plain(path: Path) -> Any:
    """What ``torch.save`` wrote: tensors and plain containers, or an error of one sentence."""
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


def _check_format(content: Any, wanted: str, version: int, path: Path) -> None:
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


def _starts_like_safetensors(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"  # the header's length, then its JSON


def _load_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            _check_format(header, WEIGHTS_FORMAT, WEIGHTS_VERSION, path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        settings = load_model_settings(json.loads(header["settings"]), str(path))
        classes = json.loads(header["classes"])
    except (SafetensorError, KeyError, ValueError, SettingsError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights ({error}).") from None
    return Weights(settings, tensors, None if classes is None else tuple(classes), str(path))
