"""Training a network from a pillar cache."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from dmanet.checkpoint import Checkpoint, first_difference, load_checkpoint, save_checkpoint
from dmanet.data import BatchLoader, PackedBatch, check_fit, recordings_of
from dmanet.decoding import decode_batch
from dmanet.device import autocast, choose_precision, place
from dmanet.losses import detection_loss
from dmanet.models.anchors import anchors_for
from dmanet.models.detector import DMANet
from dmanet.run_log import RunLog, StepReport
from dmanet.samplers import make_sampler
from dmanet.training_settings import RunSettings, TrainingSettings, to_yaml
from pipeline.atomic import written_whole
from pipeline.cache import PillarCache
from pipeline.errors import CheckpointError, DataError, UsageError

CHECKPOINT_NAME = "last.pt"
SETTINGS_NAME = "settings.yaml"


def train(
    cache: PillarCache,
    settings: RunSettings,
    run_dir: Path,
    *,
    device: torch.device,
    workers: int = 0,
    resume: bool = False,
    on_step: Callable[[StepReport, int], None] = lambda report, total: None,
) -> Path:
    """Train on the split `train` and return the path of the checkpoint.

    Samples are T consecutive windows that begin anywhere, with fresh state; gradients flow through
    all T. ``run_dir`` gets ``settings.yaml``, ``metrics.jsonl``, ``tensorboard/`` and, at the start
    and at the end of each epoch, ``last.pt``. ``on_step`` is called with each step's report and the
    number of steps in all.

    Raises:
        UsageError: ``run_dir`` holds a run and ``resume`` is not set, or the other way round.
        CacheError: the network does not fit the cache.
        CheckpointError: the run to resume had other settings or another cache.
        DataError: the loss stopped being a number, or there are too few windows.
    """
    recordings = recordings_of(cache, "train")
    check_fit(cache, settings.model, "this run's")
    batches = make_sampler(
        "random",
        {recording.id: len(recording) for recording in recordings},
        settings.training.steps,
        settings.training.batch_size,
        settings.training.seed,
    )
    checkpoint = _checkpoint_to_resume(cache, settings, run_dir) if resume else None
    if not resume and run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
        raise UsageError(
            f"{run_dir}: exists and is not empty; resume its run with --resume, or give a new folder."
        )
    run = _Run(settings, device, len(batches), checkpoint)
    with written_whole(run_dir / SETTINGS_NAME) as unfinished:
        unfinished.write_text(to_yaml(settings), encoding="utf-8")
    if checkpoint is None:  # so that a run that is killed in its first epoch can be resumed too
        save_checkpoint(run_dir / CHECKPOINT_NAME, run.checkpoint(cache))
    loader = BatchLoader(cache, batches, workers=workers, pin_memory=device.type == "cuda")
    with RunLog(run_dir, run.step) as log:
        for epoch in range(run.epoch, settings.training.epochs):
            batches.epoch = epoch
            before = time.perf_counter()
            for batch in loader:
                data_s = time.perf_counter() - before
                report = run.train_step(batch, data_s)
                log.write(report)
                on_step(report, run.total_steps)
                before = time.perf_counter()
            run.epoch = epoch + 1
            save_checkpoint(run_dir / CHECKPOINT_NAME, run.checkpoint(cache))
    return run_dir / CHECKPOINT_NAME


class _Run:
    """Network, optimiser and their place in the run."""

    def __init__(
        self,
        settings: RunSettings,
        device: torch.device,
        steps_per_epoch: int,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.settings = settings
        self.device = device
        self.precision = choose_precision(settings.training.precision, device)
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = steps_per_epoch * settings.training.epochs
        torch.manual_seed(settings.training.seed)
        model = DMANet(settings.model) if checkpoint is None else checkpoint.weights().build()
        self.model = place(model, device).train()
        self.optimizer = make_optimizer(self.model, settings.training)
        if checkpoint is not None:
            self.optimizer.load_state_dict(checkpoint.optimizer)
        self.anchors = anchors_for(settings.model.grid_size, settings.model.anchors, device)
        self.epoch = checkpoint.epoch if checkpoint else 0
        self.step = checkpoint.step if checkpoint else 0

    def train_step(self, batch: PackedBatch, data_s: float) -> StepReport:
        """One optimiser step on a batch that took ``data_s`` seconds to arrive."""
        began = time.perf_counter()
        recipe = self.settings.training
        learning_rate = recipe.learning_rate * schedule(
            self.step, self.steps_per_epoch, self.total_steps, recipe
        )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        batch = batch.to(self.device)
        positive, negative = decode_batch(batch)
        with autocast(self.device, self.precision):
            output, _ = self.model(
                positive, negative, batch.steps, batch.sequences, None, batch.reset
            )
        terms = detection_loss(
            output.logits, output.deltas, self.anchors, batch.targets, self.settings.loss
        )
        # The published loss is a sum over the steps of each step's mean over the images.
        losses = {name: batch.steps * term for name, term in terms.items()}
        loss = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), recipe.gradient_clip)
        if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
            windows = ", ".join(
                f"{piece.recording} {piece.start}…{piece.stop - 1}"
                for sample in batch.samples
                for piece in sample.pieces
            )
            raise DataError(
                f"Training stopped at step {self.step}: the loss is {loss.item():g} and the gradient "
                f"norm {norm.item():g} on the windows {windows}; the checkpoint of the last whole "
                "epoch is kept, try a lower training.learning_rate or training.precision=fp32."
            )
        self.optimizer.step()
        step_s = time.perf_counter() - began
        report = StepReport(
            step=self.step,
            epoch=self.epoch,
            loss=loss.item(),
            **{name: term.item() for name, term in losses.items()},
            learning_rate=learning_rate,
            gradient_norm=norm.item(),
            data_s=data_s,
            step_s=step_s,
            windows_per_s=batch.frames / (data_s + step_s),
        )
        self.step += 1
        return report

    def checkpoint(self, cache: PillarCache) -> Checkpoint:
        """Where the run stands now."""
        return Checkpoint(
            settings=self.settings,
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            epoch=self.epoch,
            step=self.step,
            cache=cache.attributes["fingerprint"],
            classes=cache.settings.classes,
        )


def make_optimizer(model: nn.Module, recipe: TrainingSettings) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def schedule(step: int, steps_per_epoch: int, total_steps: int, recipe: TrainingSettings) -> float:
    """Learning rate of a step as a share of the peak.

    Rises linearly from 0 over the warm-up, which it leaves at 1, and falls along half a cosine to
    ``final_learning_rate`` at the last step. (The released schedule is stepped past its end, where it
    rises again; this one has no end to pass.)
    """
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / (warmup + 1)
    past = min(1.0, (step - warmup) / max(1.0, total_steps - 1 - warmup))
    final = recipe.final_learning_rate
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * past))


def _checkpoint_to_resume(cache: PillarCache, settings: RunSettings, run_dir: Path) -> Checkpoint:
    path = run_dir / CHECKPOINT_NAME
    if not path.is_file():
        raise UsageError(
            f"{run_dir}: holds no checkpoint to resume ({CHECKPOINT_NAME}); train without --resume "
            "into a new folder."
        )
    checkpoint = load_checkpoint(path)
    if difference := first_difference(checkpoint.settings, settings):
        raise CheckpointError(
            f"{path}: was trained with {difference}; resume with the settings of the run, or train "
            "into another folder."
        )
    if checkpoint.cache != cache.attributes["fingerprint"]:
        raise CheckpointError(
            f"{path}: was trained on a cache of other settings than {cache.location}; resume with "
            "the cache of the run, or train into another folder."
        )
    return checkpoint
