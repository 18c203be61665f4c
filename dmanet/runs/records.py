"""What a run keeps, as typed records: a checkpoint's content, and a network's weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from dmanet.models.detector import DMANet, LevelState, State
from dmanet.recipes import RunSettings
from dmanet.runs.claims import cache_settings_of
from dmanet.runs.content import CheckpointContent, check_tensors, first_problem
from dmanet.runs.digests import add_tensor
from dmanet.runs.outcomes import Tally
from dmanet.runs.stored_classes import names_of, stored_classes
from dmanet.settings import ModelSettings
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CheckpointError, SettingsError
from pipeline.settings import load_settings


@dataclass(frozen=True)
class Weights:
    """A network's settings and its tensors by our names.

    Attributes:
        settings: the architecture.
        tensors: name in our state dict -> tensor, on the CPU.
        classes: the name of each output class; None where that is not known.
        source: names the file in messages.
        cache_settings: of the cache it was trained on, by which recordings become its input; None
            where that is not known.
    """

    settings: ModelSettings
    tensors: dict[str, Tensor]
    classes: tuple[str, ...] | None
    source: str
    cache_settings: CacheSettings | None = None

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any weight or setting, and with nothing else."""
        digest = hashlib.sha256(self.settings.identity().encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} ".encode())
            add_tensor(digest, tensor)
        return digest.hexdigest()[:16]

    def check(self) -> None:
        """Check names, shapes, dtypes and numbers against the settings, before a network is built.

        Raises:
            CheckpointError: they do not fit, naming the first tensor that does not.
        """
        with torch.device("meta"):  # shapes alone, no memory
            self._check_against(DMANet(self.settings))

    def build(self) -> DMANet:
        """The network with these weights; raises as :meth:`check`."""
        self.check()
        model = DMANet(self.settings)
        model.load_state_dict(self.tensors)
        return model

    def load_into(self, model: DMANet) -> None:
        """Copy the weights into a network of the same settings.

        Raises:
            CheckpointError: they do not fit, naming the first tensor that does not.
        """
        self._check_against(model)
        model.load_state_dict(self.tensors)

    def _check_against(self, model: DMANet) -> None:
        if problem := check_tensors(self.tensors, model.state_dict()):
            raise CheckpointError(
                f"{self.source}: does not hold the network that its settings say: {problem}."
            )


@dataclass(frozen=True)
class Checkpoint:
    """Where a training run stands: all it takes to go on as if it had never stopped.

    A file holds these fields, ``source`` apart, each under its name; classes as
    :mod:`dmanet.runs.stored_classes` says. No random state is among them:
    a run draws nothing but its first weights and, from the seed, the epoch and the place of a window
    in it, its order of windows and their augmentation.

    Attributes:
        settings: everything that decides the run apart from the cache.
        model: the network's state dict.
        optimizer: the optimiser's state dict.
        scaler: the loss scaler's state dict; empty except in float16.
        average: state dict of the average of the weights; None without one.
        carried: state carried from the last batch to the next; None for none.
        epoch: epochs finished.
        position: batches of the epoch after those that are finished.
        step: training steps made or skipped; the place in the learning rate's schedule.
        tally: counts of the run's steps by outcome.
        best_score: the best score of an epoch so far; None before the first.
        cache: fingerprint of the cache's settings.
        recordings: digests of the recordings that the run reads, by id.
        classes: the name of each output class.
        cache_settings: of the cache; None in files of earlier releases.
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
    classes: tuple[str, ...]
    cache_settings: CacheSettings | None = None
    source: str = "checkpoint"

    def weights(self) -> Weights:
        """The network to judge and to use: of averaged weights where there are any."""
        tensors = self.model if self.average is None else self.average["tensors"]
        return self._weights(tensors)

    def trained_weights(self) -> Weights:
        """The network that training goes on with."""
        return self._weights(self.model)

    def _weights(self, tensors: dict[str, Tensor]) -> Weights:
        model = self.settings.model
        return Weights(model, tensors, self.classes, self.source, self.cache_settings)

    def content(self) -> dict[str, Any]:
        """The fields as tensors and plain values, by name; tensors are not copied."""
        content = {name: getattr(self, name) for name in _saved_fields()}
        content["settings"] = self.settings.model_dump(mode="json")
        content["carried"] = self.carried and [dict(vars(level)) for level in self.carried]
        content["tally"] = asdict(self.tally)
        content["classes"] = stored_classes(self.classes)
        content["cache_settings"] = stored_settings(self.cache_settings)
        return content

    @classmethod
    def from_content(cls, content: Mapping[str, Any], source: str) -> "Checkpoint":
        """The checkpoint whose :meth:`content` was saved.

        Args:
            content: what a file holds.
            source: the file, for messages.

        Raises:
            CheckpointError: a field is missing, unknown, or not what it should be.
        """
        try:
            checked = CheckpointContent.model_validate({**content, **_as_tuples(content)})
            settings = load_settings(RunSettings, checked.settings, source, converted=False)
        except ValidationError as error:
            raise CheckpointError(
                f"{source}: is not a whole checkpoint ({first_problem(error)}); use another file."
            ) from None
        except SettingsError as error:
            raise CheckpointError(f"{error}; it is damaged, use another file.") from None
        values: dict[str, Any] = {name: getattr(checked, name) for name in _saved_fields()}
        values["settings"] = settings
        values["optimizer"] = checked.optimizer.model_dump()
        values["average"] = checked.average and checked.average.model_dump()
        values["carried"] = checked.carried and tuple(
            LevelState(level.hidden, level.cell, level.feature) for level in checked.carried
        )
        values["classes"] = names_of(checked.classes)
        values["cache_settings"] = cache_settings_of(checked.cache_settings, source)
        values["tally"] = Tally(**checked.tally.model_dump())
        return cls(**values, source=source)


def stored_settings(settings: CacheSettings | None) -> dict[str, Any] | None:
    """A cache's settings as files of networks hold them: the values that JSON has."""
    return None if settings is None else json.loads(json.dumps(settings.stored()))


def _as_tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """What files hold as lists and records as tuples."""
    carried = content.get("carried")
    return {"carried": tuple(carried)} if isinstance(carried, list) else {}


def _saved_fields() -> list[str]:
    return [field.name for field in fields(Checkpoint) if field.name != "source"]
