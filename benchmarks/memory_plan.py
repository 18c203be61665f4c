"""The arms of `benchmarks.memory`, and how large it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ablation import RELEASED, Scale
from dmanet.recipes import RunSettings, resolve_settings
from pipeline.release.shards import WINDOW_US
from pipeline.simulation.settings import SimulationSettings

NONE = ("model.long_memory=none", "model.short_memory=false")
ARMS: Mapping[str, tuple[str, ...]] = {
    "none": NONE,
    "adaptive-released": RELEASED,
    "adaptive-zero": (*RELEASED, "model.short_memory_init=zero"),
    "adaptive": (),
    "plain": ("model.long_memory=plain",),
    "hold": ("model.long_memory=hold", "model.short_memory=false"),
}
#: DMANet's own two, with the short memory, as our presets have them.
OWN = ("adaptive", "plain")
#: What every run has beside its preset.
COMMON = ("training.precision=fp32", "training.validate_every=0")
#: What the arms have: state carried from sample to sample, and about a third of the windows at rest.
STREAMS = (
    "training.sampling=stream",
    "training.steps=8",
    "training.batch_size=2",
    "training.learning_rate=1e-3",
    "augmentation.stop=0.05",
    "augmentation.stop_windows=[4, 16]",
)


@dataclass(frozen=True)
class Plan:
    """How large everything is.

    Attributes:
        scale: data, network and what all runs share.
        warm_epochs: of the network without memory.
        epochs: of each arm.
        seeds: of each arm: of the weights that are new, and of the order.
        draws: of recordings.
    """

    scale: Scale
    warm_epochs: int
    epochs: int
    seeds: int
    draws: int = 1000

    @property
    def stop_noise(self) -> float:
        """Events a second and pixel that the simulated camera gives of a scene at rest."""
        made = self.scale.simulation
        width, height = made.sensor
        return made.noise * made.rate / (WINDOW_US * 1e-6) / (width * height)

    def warm_settings(self) -> RunSettings:
        """Of the network without memory."""
        overrides = (*COMMON, *self.scale.overrides, f"training.epochs={self.warm_epochs}", *NONE)
        return resolve_settings(self.scale.preset, None, overrides)

    def settings(self, arm: str, seed: int, init_from: Path) -> RunSettings:
        """Of one arm's run."""
        own = (
            f"training.epochs={self.epochs}",
            f"training.seed={seed}",
            f"training.init_from={json.dumps(str(init_from))}",
            f"augmentation.stop_noise={self.stop_noise}",
        )
        overrides = (*COMMON, *STREAMS, *self.scale.overrides, *ARMS[arm], *own)
        return resolve_settings(self.scale.preset, None, overrides)


def plan_of(size: str) -> Plan:
    """``quick`` shows in seconds that it works; ``usual`` is for two CPU cores; ``full`` for a night."""
    if size == "quick":
        simulation = SimulationSettings(
            seed=1,
            sensor=(128, 72),
            recordings={"train": 2, "test": 2},
            seconds=1.0,
            rate=300,
            objects=6,
        )
        network = ("model.grid_size=[32, 32]", "model.stem_width=8", "model.feature_size=8")
        return Plan(Scale(simulation, 32, 0.0, 0.0, "tiny", network), 1, 1, 1, 50)
    large = size == "full"
    simulation = SimulationSettings(
        seed=1,
        sensor=(640, 360),
        recordings={"train": 64, "test": 24} if large else {"train": 16, "test": 10},
        seconds=3.0,
        rate=25_000,
        objects=8,
        class_weights=(1.0,) * 7,
    )
    scale = Scale(simulation, 128, 30.0, 10.0, "tiny")
    return Plan(scale, 8, 8, 3) if large else Plan(scale, 6, 4, 2)
