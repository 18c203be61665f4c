"""How fast a machine trains a given recipe on a given cache, and where a step's time goes."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from dmanet.data.batches import PackedBatch
from dmanet.device import peak_memory_gb
from dmanet.recipes import RunSettings
from dmanet.regions import RegionTimer
from dmanet.training.batches import TrainingBatches
from dmanet.training.memory import check_network_fits
from dmanet.training.step import Trainer
from pipeline.cache.reader import PillarCache

#: The regions that a training step consists of, in order.
PARTS = (
    "to device",
    "decode and augment",
    "pillar net and canvas",
    "backbone",
    "memories",
    "pyramid and heads",
    "loss",
    "backward",
    "optimiser",
)

#: What :func:`measure_throughput` does, in order.
PHASES = ("warming up", "loader alone", "step alone", "both together", "time by part")


@dataclass(frozen=True)
class Throughput:
    """What was measured. Rates are windows a second, medians where there are several steps.

    Attributes:
        device: its name.
        precision: of convolutions and matrix products.
        steps: T of a sample.
        batch: samples B of a step.
        workers: processes that read ahead.
        loader_windows_per_s: reading batches and doing nothing with them.
        step_windows_per_s: training steps on batches that are there already.
        windows_per_s: training as it is, reading and steps together.
        data_wait_share: share of that time spent waiting for a batch.
        peak_gb: largest memory, 10⁹ bytes: of tensors on a GPU, else of this process.
        seconds: of each of the :data:`PARTS` of a step; empty with ``training.compile``.
    """

    device: str
    precision: str
    steps: int
    batch: int
    workers: int
    loader_windows_per_s: float
    step_windows_per_s: float
    windows_per_s: float
    data_wait_share: float
    peak_gb: float
    seconds: dict[str, float]


def measure_throughput(
    cache: PillarCache,
    settings: RunSettings,
    device: torch.device,
    *,
    workers: int = 0,
    seconds: float = 30.0,
    on_phase: Callable[[str], None] = lambda phase: None,
) -> Throughput:
    """Train for about ``seconds`` on the split `train`, in phases; the network is thrown away.

    Args:
        cache: where the windows come from.
        settings: of the run to measure.
        device: where to compute.
        workers: processes that read ahead.
        seconds: of all phases together; each makes at least two steps, however long they take.
        on_phase: is told each of the :data:`PHASES` as it begins.

    Raises:
        UsageError: the cache has no windows to train on, or the network does not fit the memory.
        CacheError: the network does not fit the cache.
        DataError: there are too few windows for a batch.
    """
    recipe = settings.training
    batches = TrainingBatches(cache, settings, device, workers, source="this recipe's")
    check_network_fits(settings, device)
    trainer = Trainer(settings, device, len(batches))
    forever = batches.forever()
    frames = recipe.steps * recipe.batch_size

    on_phase("warming up")
    kept = [next(forever) for _ in range(2)]
    for batch in kept:
        trainer.make_step(batch, 0.0)
    on_phase("loader alone")
    loading = _repeated(lambda: next(forever), seconds * 0.2, device)
    on_phase("step alone")
    turns = itertools.cycle(kept)
    stepping = _repeated(lambda: trainer.make_step(next(turns), 0.0), seconds * 0.3, device)
    on_phase("both together")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    waits: list[float] = []

    def wait_and_step() -> None:
        began = time.perf_counter()
        batch = next(forever)
        waits.append(time.perf_counter() - began)
        trainer.make_step(batch, waits[-1])

    both = _repeated(wait_and_step, seconds * 0.3, device)
    peak_gb = peak_memory_gb(device)
    on_phase("time by part")
    parts = {} if recipe.compile else seconds_by_part(trainer, kept, seconds * 0.2)
    return Throughput(
        device=device_name(device),
        precision=trainer.precision,
        steps=recipe.steps,
        batch=recipe.batch_size,
        workers=workers,
        loader_windows_per_s=frames / median(loading),
        step_windows_per_s=frames / median(stepping),
        windows_per_s=frames * len(both) / sum(both),
        data_wait_share=sum(waits) / sum(both),
        peak_gb=peak_gb,
        seconds=parts,
    )


def seconds_by_part(
    trainer: Trainer, batches: list[PackedBatch], seconds: float
) -> dict[str, float]:
    """Median seconds of each of the :data:`PARTS` of training steps on ``batches`` in turn.

    What a step does between its named regions is in none of them.
    """
    laps: dict[str, list[float]] = {name: [] for name in PARTS}
    timer = RegionTimer(trainer.device)
    turns = itertools.cycle(batches)

    def one_step() -> None:
        trainer.make_step(next(turns), 0.0)
        for name, lap in timer.take().items():
            laps[name].append(lap)

    with timer.installed():
        _repeated(one_step, seconds, trainer.device)
    return {name: median(values) for name, values in laps.items()}


def device_name(device: torch.device) -> str:
    """The GPU's name, or how many threads of a CPU are used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def _repeated(
    action: Callable[[], object], seconds: float, device: torch.device, least: int = 2
) -> list[float]:
    """Seconds of each of the runs of ``action`` that fit into ``seconds``, at least ``least``."""
    durations: list[float] = []
    while len(durations) < least or sum(durations) + median(durations) < seconds:
        began = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        durations.append(time.perf_counter() - began)
    return durations
