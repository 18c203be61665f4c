"""Settings of a training run: presets, a YAML file, single keys on the command line.

The resolved settings stand beside the run's results; every key is typed and an unknown one is an
error.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from dmanet.data.augmentation_settings import AugmentationSettings
from dmanet.data.samplers import SamplingMode
from dmanet.detection.loss_settings import LossSettings
from dmanet.overrides import merge, merge_overrides, read_settings_file
from dmanet.settings import MODEL_PRESETS, ModelSettings, filled_up
from pipeline.errors import SettingsError
from pipeline.release.classes import MOST_CLASSES, ClassName
from pipeline.settings import S, Settings, load_settings


class TrainingSettings(Settings):
    """How the network is trained. Recipes differ here; the architecture is `ModelSettings`.

    The defaults are the recipe of the preset `default`.
    """

    epochs: int = Field(
        default=30, ge=1, le=1_000_000, description="Passes over the training windows."
    )
    steps: int = Field(
        default=10,
        ge=1,
        le=4096,
        description="Consecutive windows T of a sample; gradients flow through all of them.",
    )
    batch_size: int = Field(
        default=2, ge=1, le=4096, description="Samples B of a training step, in each process."
    )
    ranks: int = Field(
        default=1,
        ge=1,
        le=65_536,
        description="Processes that train together, as torchrun started them; what is given here is "
        "replaced.",
    )
    sampling: SamplingMode = Field(
        default="mixed",
        description="random: samples begin anywhere, with fresh state; stream: each slot of a batch "
        "reads on where it ended, and its state is carried; mixed: half of the slots of each kind.",
    )
    classes: tuple[ClassName, ...] = Field(
        default=(),
        max_length=MOST_CLASSES,
        description="Names of the classes to learn; none named: all of the cache.",
    )
    init_from: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="A checkpoint or file of weights; what of it fits by name and shape is what a new "
        "run begins with. The rest is drawn.",
    )
    optimizer: Literal["adam", "adamw"] = Field(
        default="adamw", description="adamw takes its weight decay past the adaptive step."
    )
    learning_rate: float = Field(default=2e-4, gt=0, le=1e30, description="Peak of the schedule.")
    weight_decay: float = Field(
        default=1e-2, ge=0, le=1000, description="As the optimiser defines it."
    )
    schedule: Literal["cosine", "exponential"] = Field(
        default="cosine", description="How the learning rate falls after the warm-up."
    )
    warmup_epochs: float = Field(
        default=1.0,
        ge=0,
        le=1_000_000,
        description="Epochs over which the learning rate rises linearly from 0.",
    )
    final_learning_rate: float = Field(
        default=0.01, ge=0, le=1, description="Where the cosine ends, as a share of the peak."
    )
    decay: float = Field(
        default=0.98, gt=0, le=1, description="What the exponential multiplies by over an epoch."
    )
    gradient_clip: float = Field(
        default=1.0, gt=0, description="Largest norm of all gradients together."
    )
    ema_decay: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="How slowly the average of the weights follows them; 0 keeps none. The average "
        "is what is evaluated.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="Of convolutions and matrix products; auto is bf16 where the device computes "
        "in it, else fp32. fp16 scales its loss.",
    )
    activation_checkpointing: bool = Field(
        default=False, description="Compute activations again in the backward pass: less memory."
    )
    compile: bool = Field(
        default=False, description="torch.compile for the parts without recurrence."
    )
    validate_every: int = Field(
        default=1,
        ge=0,
        le=1_000_000,
        description="Epochs between two evaluations on the split `val`; 0 for none.",
    )
    logger: str = Field(
        default="",
        max_length=200,
        pattern=r"^(|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)$",
        description="A function of yours that gets every number, as module:function; only `dmanet "
        "train` imports it. None by default.",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**63, description="Of the first weights and of the order of windows."
    )

    @model_validator(mode="after")
    def _check(self) -> "TrainingSettings":
        if self.compile and self.activation_checkpointing:
            # What is computed again is not compiled alike, and torch refuses the difference.
            raise ValueError("compile and activation_checkpointing exclude each other")
        return self

    @field_validator("classes")
    @classmethod
    def _are_classes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("give each class once")
        return names


class RunSettings(Settings):
    """Everything that decides a training run apart from the cache."""

    model: ModelSettings = Field(default=ModelSettings(), description="The network.")
    loss: LossSettings = Field(default=LossSettings(), description="Matching and loss.")
    training: TrainingSettings = Field(default=TrainingSettings(), description="The recipe.")
    augmentation: AugmentationSettings = Field(
        default=AugmentationSettings(), description="Random transforms of the training samples."
    )

    def with_ranks(self, ranks: int) -> "RunSettings":
        """The same settings, trained by ``ranks`` processes.

        Raises:
            SettingsError: the settings say another number themselves.
        """
        if self.training.ranks not in (1, ranks):
            raise SettingsError(
                f"training.ranks is {self.training.ranks}, and {ranks} processes were started; leave it "
                "out, it is what torchrun's --nproc-per-node makes it."
            )
        training = self.training.model_copy(update={"ranks": ranks})
        return self.model_copy(update={"training": training})


# What both published recipes have in common.
_PUBLISHED: Mapping[str, Any] = {
    "optimizer": "adam",
    "sampling": "random",
    "ema_decay": 0.0,
    "precision": "fp16",
    "epochs": 30,
    "steps": 10,
    "warmup_epochs": 1.0,
}

# First weights, compared by `benchmarks.memory`: features that begin with the previous step's added at
# random learn slowly, and a state that is kept from the start is learned to be used.
_FIRST_WEIGHTS = {"short_memory_init": "zero", "forget_bias": 2.0, "candidate_init": "feature"}

RUN_PRESETS: dict[str, RunSettings] = {
    # Without the best anchor for each box, thin boxes would be learned as background.
    "default": RunSettings(
        model=ModelSettings().model_copy(update=_FIRST_WEIGHTS),
        loss=LossSettings(match_low_quality=True),
        augmentation=AugmentationSettings(flip=0.5),
    ),
    # As the paper trains.
    "paper": RunSettings(
        training=TrainingSettings(
            **_PUBLISHED,
            batch_size=2,
            learning_rate=2e-4,
            weight_decay=0.0,
            final_learning_rate=0.1,
            gradient_clip=0.1,
        )
    ),
    # The softer recipe of a published reproduction on 40 GB of the release, at its largest batch.
    "notes": RunSettings(
        training=TrainingSettings(
            **_PUBLISHED,
            batch_size=4,
            learning_rate=2e-5,
            weight_decay=1e-4,
            final_learning_rate=0.01,
            gradient_clip=1.0,
        )
    ),
    # Found by trial on simulated cars: a minute or two on two CPU cores.
    "tiny": RunSettings(
        model=MODEL_PRESETS["tiny"].model_copy(update=_FIRST_WEIGHTS),
        loss=LossSettings(match_low_quality=True),
        training=TrainingSettings(
            epochs=6,
            steps=4,
            batch_size=4,
            sampling="random",
            learning_rate=2e-3,
            warmup_epochs=0.5,
            final_learning_rate=0.02,
            ema_decay=0.0,
        ),
    ),
}


def resolve_settings(
    preset: str = "default", config: Path | None = None, overrides: Iterable[str] = ()
) -> RunSettings:
    """A preset, then what a YAML file changes, then what single keys change.

    Args:
        preset: one of :data:`RUN_PRESETS`.
        config: file of keys as they stand in a run's ``settings.yaml``, any part of them.
        overrides: texts such as ``training.epochs=5``; a value is read as YAML.

    Raises:
        SettingsError: a preset or a key is unknown, a value has the wrong type, or the file cannot
            be read; one sentence.
    """
    values = _preset(preset, RUN_PRESETS).model_dump()
    sources = [f"preset {preset}"]
    if config is not None:
        given = dict(read_settings_file(config))
        if isinstance(given.get("model"), dict):
            given["model"] = filled_up(given["model"])  # an earlier run's are not today's presets'
        merge(values, given, str(config))
        sources.append(str(config))
    sources += merge_overrides(values, overrides)
    return load_settings(RunSettings, values, ", ".join(sources), converted=False)


def resolve_model_settings(preset: str, overrides: Iterable[str] = ()) -> ModelSettings:
    """A preset of the network alone, then single keys; see :func:`resolve_settings`.

    Args:
        preset: one of :data:`~dmanet.settings.MODEL_PRESETS`.
        overrides: texts such as ``num_classes=1``.

    Raises:
        SettingsError: a preset or a key is unknown, or a value has the wrong type.
    """
    values = _preset(preset, MODEL_PRESETS).model_dump()
    sources = [f"preset {preset}", *merge_overrides(values, overrides)]
    return load_settings(ModelSettings, values, ", ".join(sources), converted=False)


def to_yaml(settings: RunSettings) -> str:
    """All settings as YAML that :func:`resolve_settings` reads back."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def _preset(name: str, presets: Mapping[str, S]) -> S:
    if name not in presets:
        raise SettingsError(f"preset '{name}' is unknown; there are {', '.join(presets)}.")
    return presets[name]
