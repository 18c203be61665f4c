"""Training a network from a pillar cache: the loop over epochs and steps."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from dmanet.ranks import ALONE, Ranks
from dmanet.recipes import RunSettings
from dmanet.runs.folder import RunFolder
from dmanet.runs.log import EpochReport
from dmanet.runs.outcomes import Tally
from dmanet.training.memory import memory_checked
from dmanet.training.run import TrainingRun, begin_run
from dmanet.training.stopping import stop_if_asked, stop_if_diverged, stopped
from dmanet.training.validation import VALIDATION_SCORE
from dmanet.training.watcher import TrainingWatcher
from pipeline.cache.reader import PillarCache
from pipeline.tasks.outcomes import Stopped


@dataclass(frozen=True)
class TrainingOutcome:
    """A finished run: its folder, epochs, the counts of its steps, the best score and its kind."""

    folder: RunFolder
    epochs: int
    tally: Tally
    best_score: float | None
    score_of: str

    def __str__(self) -> str:
        """For whoever waited for it."""
        skipped = self.tally.bad + self.tally.overflows
        told = f"trained {self.epochs} epochs in {self.tally.made} steps"
        if skipped:
            told += f", {skipped} more were skipped"
        if self.best_score is not None and self.score_of == VALIDATION_SCORE:
            told += (
                f"; {self.folder.best} has the best score, {self.best_score:.3f} ({self.score_of})"
            )
        elif self.best_score is not None:
            told += (
                f"; {self.folder.best} has the least mean training loss, {-self.best_score:.3f} "
                f"({self.score_of.partition(', ')[2]})"
            )
        return f"{told}: {self.folder.last}"


def train(
    cache: PillarCache,
    settings: RunSettings | None,
    run_dir: Path,
    *,
    device: torch.device,
    workers: int = 0,
    resume: bool = False,
    checkpoint_every: int = 0,
    keep_every: int = 0,
    max_bad_steps: int = 10,
    watcher: TrainingWatcher | None = None,
    ranks: Ranks = ALONE,
) -> TrainingOutcome:
    """Train on the split `train`, to the end of the last epoch.

    Samples are T consecutive windows, chosen as ``training.sampling`` says. Gradients flow through
    all T; state is carried from batch to batch where windows follow each other, and no gradient
    with it. ``run_dir`` gets what :mod:`dmanet.runs.log` and :mod:`dmanet.runs.folder` describe; a
    checkpoint is written at the start, at each epoch's end and every ``checkpoint_every`` steps.

    With several ``ranks``, all of which call this, a step is that of one process with all of their
    batches; the first rank writes.

    Args:
        cache: where the windows come from.
        settings: of the run; None, with ``resume`` only, takes those of the run.
        run_dir: a new folder or, with ``resume``, that of a run.
        device: where to compute.
        workers: processes that read ahead.
        resume: go on with the run in ``run_dir`` where it stands. From there on it is the run it
            would have been: on a CPU and in float32 to the bit.
        checkpoint_every: steps between two checkpoints in mid-epoch; 0 for none.
        keep_every: steps between two checkpoints that are kept for good; 0 for none.
        max_bad_steps: so many steps in a row without a finite loss and gradient end the run.
        watcher: is told what happens, and asked whether to stop; any rank's may.
        ranks: this process among those that train together.

    Raises:
        UsageError: ``run_dir`` holds a run and ``resume`` is not set, or the other way round; or a
            step does not fit the device's memory.
        SettingsError: the settings contradict each other or the cache.
        CacheError: the network does not fit the cache.
        CheckpointError: the run to resume had other settings, another cache, other recordings or
            another number of ranks; or nothing of ``training.init_from`` fits the network.
        DataError: there are too few windows.
        DivergedError: ``max_bad_steps`` in a row; the last good state is saved.
        RankError: another rank failed.
        Stopped: the watcher wanted it; the state is saved.
    """
    watcher = watcher or TrainingWatcher()
    run = begin_run(cache, settings, run_dir, device, workers, resume, watcher, ranks)
    trainer = run.trainer
    with run.log():
        while trainer.epoch < run.settings.training.epochs:
            train_one_epoch(run, checkpoint_every, keep_every, max_bad_steps)
            report = score_epoch(run)
            trainer.end_epoch()
            run.tell_epoch(report)
            run.save(best=report.best)
    return TrainingOutcome(
        run.folder, trainer.epoch, trainer.tally, trainer.best_score, run.validation.score_of
    )


def train_one_epoch(
    run: TrainingRun, checkpoint_every: int, keep_every: int, max_bad_steps: int
) -> None:
    """Make the steps of the epoch that are left; raises as :func:`train`."""
    trainer = run.trainer
    for batch, data_s in run.batches_left():
        with memory_checked(trainer.step, run.device):
            report = trainer.make_step(batch, data_s)
        run.tell_step(report)
        stop_if_diverged(run, report, max_bad_steps)
        kept = _is_due(keep_every, trainer.step)
        stop_if_asked(run, kept)
        if kept or _is_due(checkpoint_every, trainer.step):
            run.save(kept=kept)


def score_epoch(run: TrainingRun) -> EpochReport:
    """Score the epoch whose steps are over, on `val` where that is due; raises as :func:`train`."""
    trainer, validation = run.trainer, run.validation
    loss = trainer.tally.mean_loss
    score: float | None = None
    validation_s = 0.0
    if validation.by_loss:
        score = -loss if trainer.tally.epoch_made and validation.has_score else None
    elif validation.is_due(trainer.epoch):
        run.save()  # an epoch is long, and so may be its evaluation
        began = time.perf_counter()
        score = _validate(run)
        validation_s = time.perf_counter() - began
    best = score is not None and (trainer.best_score is None or score > trainer.best_score)
    if best:
        trainer.best_score = score
    return EpochReport(
        epoch=trainer.epoch,
        step=trainer.step,
        loss=loss,
        score=score,
        score_of=validation.score_of,
        best=best,
        validation_s=validation_s,
    )


def _validate(run: TrainingRun) -> float | None:
    """The score on `val`; stops where the watcher wants it, with nothing lost but the evaluation."""

    def on_windows(windows: int) -> None:
        run.watcher.validated(windows)
        if run.watcher.should_stop():
            raise Stopped("the evaluation was asked to stop.")

    try:
        weights = run.trainer.weights(run.batches.class_names)
        validated = run.validation.score(weights, on_windows, run.ranks)
    except Stopped:
        raise stopped(run) from None  # saved just before
    run.tell_validation(validated)
    return validated.score


def _is_due(every: int, count: int) -> bool:
    return every > 0 and count % every == 0
