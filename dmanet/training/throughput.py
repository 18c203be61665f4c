"""How fast a machine trains a given recipe on a given cache, and where a step's time goes."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from dmanet.data.batches import PackedBatch
from dmanet.data.fitting import check_fit, recordings_of
from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import WindowSampler, make_sampler
from dmanet.device import peak_memory_gb
from dmanet.models.detector import DMANet
from dmanet.recipes import RunSettings
from dmanet.training.step import Trainer
from pipeline.cache.reader import PillarCache

#: What a training step consists of, in order.
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
        seconds: of each of the :data:`PARTS` of a step; empty with ``training.compile``, whose
            compiled parts leave nothing to hold a clock to.
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

    Each phase makes at least two steps, however long they take. ``on_phase`` is told the
    :data:`PHASES`.

    Raises:
        UsageError: the cache has no windows to train on.
        CacheError: the network does not fit the cache.
        DataError: there are too few windows for a batch.
    """
    recipe = settings.training
    batches = TrainingBatches(cache, settings, device, workers)
    trainer = Trainer(settings, device, len(batches.sampler))
    forever = iter(batches)
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

    together = _repeated(wait_and_step, seconds * 0.3, device)
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
        windows_per_s=frames * len(together) / sum(together),
        data_wait_share=sum(waits) / sum(together),
        peak_gb=peak_gb,
        seconds=parts,
    )


class TrainingBatches:
    """The batches that a training run would read, one epoch after the other without end."""

    def __init__(
        self, cache: PillarCache, settings: RunSettings, device: torch.device, workers: int
    ) -> None:
        recipe = settings.training
        recordings = recordings_of(cache, "train")
        classes = recipe.class_numbers() or cache.settings.classes
        check_fit(cache, settings.model, "this recipe's", classes)
        self.sampler: WindowSampler = make_sampler(
            recipe.sampling,
            {recording.id: len(recording) for recording in recordings},
            recipe.steps,
            recipe.batch_size,
            recipe.seed,
        )
        self._loader = BatchLoader(
            cache,
            self.sampler,
            classes=classes,
            workers=workers,
            pin_memory=device.type == "cuda",
        )

    def __iter__(self) -> Iterator[PackedBatch]:
        """Batches on the CPU."""
        for epoch in itertools.count():
            self.sampler.epoch = epoch
            yield from self._loader


def seconds_by_part(
    trainer: Trainer, batches: list[PackedBatch], seconds: float
) -> dict[str, float]:
    """Median seconds of each of the :data:`PARTS` of training steps on ``batches`` in turn."""
    laps: dict[str, list[float]] = {name: [] for name in PARTS}
    clock = _Clock(trainer.model, trainer.device)
    turns = itertools.cycle(batches)

    def one_step() -> None:
        clock.start()
        batch = next(turns).to(trainer.device)
        clock.mark("to device")
        trainer.make_step(batch, 0.0)
        clock.mark("optimiser")
        for name, lap in clock.stop().items():
            laps[name].append(lap)

    with clock:
        _repeated(one_step, seconds, trainer.device)
    return {name: median(values) for name, values in laps.items()}


def device_name(device: torch.device) -> str:
    """The GPU's name, or how many threads of a CPU are used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


class _Clock(contextlib.AbstractContextManager["_Clock"]):
    """Laps of a training step, from hooks on the network; a mark names the part that it ends.

    On a GPU the marks are events of its own queue, so nothing waits for them.
    """

    def __init__(self, model: DMANet, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._marks: list[tuple[str, float | torch.cuda.Event]] = []
        self._forward = False
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> "_Clock":
        model = self._model
        blocks = model.backbone.stages[-1]
        assert isinstance(blocks, nn.Sequential)
        for module, part in (
            (model.pillar_net, "decode and augment"),
            (model.backbone.stem_conv, "pillar net and canvas"),
            (model.pyramid, "memories"),
        ):
            self._hooks.append(
                module.register_forward_pre_hook(lambda *_, part=part: self._mark_forward(part))
            )
        self._hooks.append(
            blocks[-1].register_forward_hook(lambda *_: self._mark_forward("backbone"))
        )
        self._hooks.append(model.box_head.register_forward_hook(self._end_forward))
        self._hooks.extend(
            parameter.register_post_accumulate_grad_hook(lambda _: self.mark("backward"))
            for parameter in model.parameters()
        )
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def start(self) -> None:
        """A step begins."""
        self._marks.clear()
        self._forward = True
        self.mark("start")

    def mark(self, part: str) -> None:
        """``part`` ends here."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append((part, event))
        else:
            self._marks.append((part, time.perf_counter()))

    def stop(self) -> dict[str, float]:
        """The step is over: seconds of each part."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        seconds = dict.fromkeys(PARTS, 0.0)
        for (_, before), (part, after) in itertools.pairwise(self._marks):
            if isinstance(before, float) or isinstance(after, float):
                assert isinstance(before, float)
                assert isinstance(after, float)
                seconds[part] += after - before
            else:
                seconds[part] += before.elapsed_time(after) / 1000
        return seconds

    def _mark_forward(self, part: str) -> None:
        if self._forward:  # not where activations are computed again in the backward pass
            self.mark(part)

    def _end_forward(self, module: nn.Module, inputs: object, deltas: torch.Tensor) -> None:
        if self._forward:
            self._forward = False
            self.mark("pyramid and heads")
            deltas.register_hook(lambda gradient: self.mark("loss"))


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
