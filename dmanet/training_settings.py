"""Settings of a training run: presets, a YAML file, single keys on the command line.

The resolved settings stand beside the run's results; every key is typed and an unknown one is an
error.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from dmanet.config import MODEL_PRESETS, ModelSettings, S, Settings, load_settings
from dmanet.losses import LossSettings
from pipeline.errors import SettingsError


class TrainingSettings(Settings):
    """How the network is trained. Recipes differ here; the architecture is `ModelSettings`."""

    epochs: int = Field(default=30, ge=1, description="Passes over the training windows.")
    steps: int = Field(
        default=10,
        ge=1,
        description="Consecutive windows T of a sample; gradients flow through all of them.",
    )
    batch_size: int = Field(default=2, ge=1, description="Samples B of a training step.")
    optimizer: Literal["adam", "adamw"] = Field(
        default="adam", description="adamw takes its weight decay past the adaptive step."
    )
    learning_rate: float = Field(default=2e-4, gt=0, description="Peak of the schedule.")
    weight_decay: float = Field(default=0.0, ge=0, description="As the optimiser defines it.")
    warmup_epochs: float = Field(
        default=1.0, ge=0, description="Epochs over which the learning rate rises linearly from 0."
    )
    final_learning_rate: float = Field(
        default=0.1, ge=0, le=1, description="Where the cosine ends, as a share of the peak."
    )
    gradient_clip: float = Field(
        default=0.1, gt=0, description="Largest norm of all gradients together."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="Of convolutions and matrix products; auto is bf16 where the device computes "
        "in it, else fp32.",
    )
    seed: int = Field(
        default=0, ge=0, description="Of the first weights and of the order of windows."
    )


class RunSettings(Settings):
    """Everything that decides a training run apart from the cache."""

    model: ModelSettings = Field(default=ModelSettings(), description="The network.")
    loss: LossSettings = Field(default=LossSettings(), description="Matching and loss.")
    training: TrainingSettings = Field(default=TrainingSettings(), description="The recipe.")


#: The defaults are the published recipe on the released network.
RUN_PRESETS: dict[str, RunSettings] = {
    "default": RunSettings(),
    # Found by trial on simulated cars: a minute or two on two CPU cores.
    "tiny": RunSettings(
        model=MODEL_PRESETS["tiny"],
        loss=LossSettings(match_low_quality=True),
        training=TrainingSettings(
            epochs=6,
            steps=4,
            batch_size=4,
            optimizer="adamw",
            learning_rate=2e-3,
            weight_decay=1e-2,
            warmup_epochs=0.5,
            final_learning_rate=0.02,
            gradient_clip=1.0,
        ),
    ),
}


def resolve_settings(
    preset: str = "default", config: Path | None = None, overrides: Iterable[str] = ()
) -> RunSettings:
    """A preset, then what a YAML file changes, then what single keys change.

    ``config`` holds keys as they stand in a run's ``settings.yaml``, any part of them.
    ``overrides`` are texts such as ``training.epochs=5``; a value is read as YAML.

    Raises:
        SettingsError: a preset or a key is unknown, a value has the wrong type, or the file cannot
            be read; one sentence.
    """
    values = _preset(preset, RUN_PRESETS).model_dump()
    sources = [f"preset {preset}"]
    if config is not None:
        _merge(values, _read_yaml(config), str(config))
        sources.append(str(config))
    sources += _merge_overrides(values, overrides)
    return load_settings(RunSettings, values, ", ".join(sources))


def resolve_model_settings(preset: str, overrides: Iterable[str] = ()) -> ModelSettings:
    """A preset of the network alone and single keys, as :func:`resolve_settings`."""
    values = _preset(preset, MODEL_PRESETS).model_dump()
    sources = [f"preset {preset}", *_merge_overrides(values, overrides)]
    return load_settings(ModelSettings, values, ", ".join(sources))


def to_yaml(settings: RunSettings) -> str:
    """All settings as YAML that :func:`resolve_settings` reads back."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def _preset(name: str, presets: Mapping[str, S]) -> S:
    if name not in presets:
        raise SettingsError(f"preset '{name}' is unknown; there are {', '.join(presets)}.")
    return presets[name]


def _merge_overrides(values: dict[str, Any], overrides: Iterable[str]) -> list[str]:
    """Write single keys into ``values``; returns how to name each of them as a source."""
    sources = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--set {text}: give a key and a value, as in training.epochs=5.")
        try:
            nested: Any = yaml.safe_load(value)
        except yaml.YAMLError:
            raise SettingsError(f"--set {text}: the value is not YAML.") from None
        for part in reversed(key.strip().split(".")):
            nested = {part: nested}
        _merge(values, nested, f"--set {text}")
        sources.append(f"--set {text}")
    return sources


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{path}: cannot be read as YAML settings ({reason}).") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(
            f"{path}: holds {type(content).__name__}; settings are keys and values."
        )
    return content


def _merge(values: dict[str, Any], changes: Mapping[str, Any], source: str) -> None:
    """Write ``changes`` into ``values``, group by group."""
    for key, change in changes.items():
        if isinstance(values.get(key), dict):
            if not isinstance(change, dict):
                raise SettingsError(
                    f"{source}: '{key}' is a group of settings ({', '.join(values[key])}), "
                    f"not {change!r}."
                )
            _merge(values[key], change, source)
        else:
            values[key] = change
