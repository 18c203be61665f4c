"""The stress on training as it is: `Trainer`, sampler and loader of a run of the preset `default`."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Literal

from benchmarks.stress_data import STEPS, StressBatch, with_wrong_classes
from benchmarks.stress_runs import fade_embeddings
from dmanet.data.fitting import check_fit, recordings_of
from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import WindowSampler, make_sampler
from dmanet.recipes import RunSettings, resolve_settings
from dmanet.runs.log import StepReport
from dmanet.settings import ModelSettings
from dmanet.training.averaging import WeightAverage
from dmanet.training.step import Trainer
from pipeline.cache.reader import PillarCache

#: Samples of a batch: four streams read the 400 windows in ten steps, so that thirty steps are three
#: epochs and hold the whole schedule.
BATCH = 8


@dataclass(frozen=True)
class TrainerRun:
    """One run; what is not named here is the preset's.

    Attributes:
        label: how tables and plots call it.
        embedding_norm: as of :class:`benchmarks.stress_runs.StressRun`.
        wrong_labels: share of boxes whose class is wrong, drawn anew for each batch.
        precision: of convolutions and matrix products.
        steps: training steps, in as many epochs as they need.
        seed: of weights, order of windows, augmentation and wrong labels.
    """

    label: str
    embedding_norm: float
    wrong_labels: float
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    steps: int = 30
    seed: int = 0


def preset_with_sampler(
    run: TrainerRun, model: ModelSettings, lengths: dict[str, int]
) -> tuple[RunSettings, WindowSampler]:
    """The preset `default` for a network and recordings of these ``lengths``, and its sampler."""
    settings = resolve_settings("default")
    recipe = settings.training
    sampler = make_sampler(recipe.sampling, lengths, STEPS, BATCH, run.seed)
    changes = {
        "epochs": math.ceil(run.steps / len(sampler)),
        "steps": STEPS,
        "batch_size": BATCH,
        "precision": run.precision,
        "seed": run.seed,
    }
    recipe = recipe.model_copy(update=changes)
    return settings.model_copy(update={"model": model, "training": recipe}), sampler


def train_by_preset(
    run: TrainerRun, model: ModelSettings, cache: PillarCache, first: StressBatch
) -> list[StepReport]:
    """Train to the last step whatever becomes of the network, as the loop over epochs does.

    Embeddings are faded on ``first``, on whose device it computes.
    """
    lengths = {recording.id: len(recording) for recording in recordings_of(cache, "train")}
    settings, sampler = preset_with_sampler(run, model, lengths)
    check_fit(cache, model, "the stress's")
    trainer = Trainer(settings, first.match.device, len(sampler))
    fade_embeddings(trainer.model, first, run.embedding_norm)
    # The average began with the weights from before.
    trainer.average = WeightAverage(trainer.model, settings.training.ema_decay)
    loader = BatchLoader(cache, sampler)
    reports: list[StepReport] = []
    while len(reports) < run.steps:
        sampler.epoch = trainer.epoch
        for batch in islice(loader, run.steps - len(reports)):
            targets = with_wrong_classes(
                batch.targets, run.wrong_labels, model.num_classes, run.seed + trainer.step
            )
            reports.append(trainer.make_step(replace(batch, targets=targets), data_s=0.0))
        trainer.end_epoch()
    return reports


def report_summary(run: TrainerRun, reports: Sequence[StepReport]) -> dict[str, Any]:
    """As :func:`benchmarks.stress_runs.summary`, as far as reports tell it.

    ``lost`` steps are those that the guards skipped, of a bad loss as well as of a bad gradient.
    """
    tail = reports[-10:]
    return {
        "run": asdict(run),
        "steps": len(reports),
        "lost": sum(report.outcome != "made" for report in reports),
        "lost_at_end": sum(report.outcome != "made" for report in tail),
        "end_loss": sorted(report.loss for report in tail)[len(tail) // 2],
        "end_scale": reports[-1].loss_scale or 1.0,
        "trace": {
            "loss": [report.loss for report in reports],
            "outcome": [report.outcome for report in reports],
            "gradient": [report.gradient_norm for report in reports],
            "learning_rate": [report.learning_rate for report in reports],
        },
    }
