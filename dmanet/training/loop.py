"""Training a network from a pillar cache: the loop over epochs and steps, and what it leaves."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from dmanet.data.batches import PackedBatch
from dmanet.data.fitting import check_fit, recordings_of
from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import WindowSampler, make_sampler
from dmanet.evaluation.streaming import StreamSettings
from dmanet.ranks import ALONE, Ranks
from dmanet.recipes import RunSettings
from dmanet.runs.checkpoint import Checkpoint
from dmanet.runs.folder import RunFolder, check_same_run
from dmanet.runs.log import EpochReport, RunLog, StepReport
from dmanet.training.guards import DivergedError, Tally
from dmanet.training.step import Trainer
from dmanet.training.validation import VALIDATION_SPLIT, has_labels, validation_score
from pipeline.cache.reader import PillarCache
from pipeline.errors import CheckpointError, SettingsError, UsageError
from pipeline.tasks.processes import Stopped


class TrainingWatcher:
    """What a run tells while it works. The methods do nothing; override those that matter."""

    def stepped(self, report: StepReport, total_steps: int) -> None:
        """One of the run's ``total_steps`` is over, made or skipped."""

    def validated(self, windows: int) -> None:
        """So many windows more of the split `val` are evaluated."""

    def epoch_ended(self, report: EpochReport) -> None:
        """One epoch is over."""

    def noted(self, sentence: str) -> None:
        """Something the user should know now."""

    def should_stop(self) -> bool:
        """Whether to save and stop; asked after each step."""
        return False


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
        if self.best_score is not None:
            told += (
                f"; {self.folder.best} has the best score, {self.best_score:.3f} ({self.score_of})"
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
            another number of ranks.
        DataError: there are too few windows.
        DivergedError: ``max_bad_steps`` in a row; the last good state is saved.
        RankError: another rank failed.
        Stopped: the watcher wanted it; the state is saved.
    """
    watcher = watcher or TrainingWatcher()
    folder = RunFolder(run_dir)
    checkpoint = None
    with ranks.together():
        if resume:
            checkpoint = folder.load(watcher.noted)
            _check_ranks(checkpoint, ranks)
            settings = settings or checkpoint.settings
        else:
            folder.check_new()
        if settings is None:
            raise SettingsError("A new run needs settings; name a preset.")
        settings = settings.with_ranks(ranks.ranks)
        run = _Run(cache, settings, folder, device, workers, checkpoint, watcher, ranks)
    run.begin(checkpoint)
    return run.to_the_end(checkpoint_every, keep_every, max_bad_steps)


class _Run:
    """A run at work: the trainer, what it reads, and where it writes."""

    def __init__(
        self,
        cache: PillarCache,
        settings: RunSettings,
        folder: RunFolder,
        device: torch.device,
        workers: int,
        checkpoint: Checkpoint | None,
        watcher: TrainingWatcher,
        ranks: Ranks,
    ) -> None:
        self.cache, self.settings, self.folder, self.watcher = cache, settings, folder, watcher
        self.ranks = ranks
        self.fingerprint = cache.attributes["fingerprint"]
        recipe = settings.training
        recordings = recordings_of(cache, "train")
        self.classes = recipe.class_numbers() or cache.settings.classes
        check_fit(cache, settings.model, "this run's", self.classes)
        self.sampler: WindowSampler = make_sampler(
            recipe.sampling,
            {recording.id: len(recording) for recording in recordings},
            recipe.steps,
            recipe.batch_size,
            recipe.seed,
            rank=ranks.rank,
            ranks=ranks.ranks,
        )
        self.score_of = _what_best_follows(cache, recipe.validate_every, self.classes)
        self.recordings = {
            recording.id: str(recording.attributes["digest"])
            for split in ("train", VALIDATION_SPLIT)
            for recording in cache.recordings(split)
        }
        if checkpoint is not None:
            check_same_run(checkpoint, settings, self.fingerprint, self.recordings, cache.location)
        self.trainer = Trainer(settings, device, len(self.sampler), checkpoint, ranks)
        self._made_when_saved = checkpoint.tally.made if checkpoint else None
        self.loader = BatchLoader(
            cache,
            self.sampler,
            classes=self.classes,
            workers=workers,
            pin_memory=device.type == "cuda",
        )
        self.stream = StreamSettings(
            device,
            self.trainer.precision,
            steps=recipe.steps,
            batch=recipe.batch_size,
            workers=workers,
        )

    def begin(self, checkpoint: Checkpoint | None) -> None:
        """Make the folder ready: that of a new run, or of the one of ``checkpoint``."""
        recipe = self.settings.training
        if checkpoint is None:  # so that a run that is killed in its first epoch can be resumed too
            self.save()
        with self.ranks.together():
            if self.ranks.first:
                self.folder.write_settings(self.settings)
                if checkpoint is not None:
                    self.folder.go_on_from(checkpoint)
        short = [key for key, windows in self.sampler.lengths.items() if windows < recipe.steps]
        if short and recipe.sampling == "random":
            self.watcher.noted(
                f"{len(short)} recordings (such as {short[0]}) are shorter than a sample of "
                f"{recipe.steps} windows and are never read; training.sampling=stream reads all."
            )

    def to_the_end(
        self, checkpoint_every: int, keep_every: int, max_bad_steps: int
    ) -> TrainingOutcome:
        """All epochs that are left."""
        trainer = self.trainer
        log: RunLog | None = None
        if self.ranks.first:
            log = RunLog(self.folder.path, trainer.step, trainer.epoch)
        with log or nullcontext():
            while trainer.epoch < self.settings.training.epochs:
                for batch, data_s in self._batches():
                    report = self._make_step(batch, data_s)
                    if log is not None:
                        log.write(report)
                    self.watcher.stepped(report, trainer.total_steps)
                    self._stop_if_diverged(report, max_bad_steps)
                    kept = _is_due(keep_every, trainer.step)
                    self._stop_if_asked(kept)
                    if kept or _is_due(checkpoint_every, trainer.step):
                        self.save(kept=kept)
                report_of_epoch = self._end_epoch()
                if log is not None:
                    log.write_epoch(report_of_epoch)
                self.watcher.epoch_ended(report_of_epoch)
                self.save(best=report_of_epoch.best)
        return TrainingOutcome(
            self.folder, trainer.epoch, trainer.tally, trainer.best_score, self.score_of
        )

    def _make_step(self, batch: PackedBatch, data_s: float) -> StepReport:
        try:
            return self.trainer.make_step(batch, data_s)
        except torch.OutOfMemoryError:
            raise UsageError(
                f"Step {self.trainer.step} does not fit the memory of {self.stream.device}; resume the "
                "run with --set training.activation_checkpointing=true, or start a run with fewer "
                "training.steps or a smaller training.batch_size."
            ) from None

    def save(self, *, best: bool = False, kept: bool = False) -> None:
        """Write a checkpoint of where the run stands."""
        checkpoint = self.trainer.checkpoint(self.fingerprint, self.recordings, self.classes)
        # Where no step was made since, the weights are those of the last checkpoint: when they are
        # what went wrong, the one before has to stay.
        same = self._made_when_saved == self.trainer.tally.made
        self._made_when_saved = self.trainer.tally.made
        with self.ranks.together():
            if self.ranks.first:
                self.folder.save(checkpoint, best=best, kept=kept, replaces_last=same)

    def _batches(self) -> Iterator[tuple[PackedBatch, float]]:
        """The batches of this epoch that are left, with the seconds spent waiting for each."""
        self.sampler.epoch, self.sampler.position = self.trainer.epoch, self.trainer.position
        batches = iter(self.loader)
        while True:
            before = time.perf_counter()
            with self.ranks.together():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch, time.perf_counter() - before

    def _end_epoch(self) -> EpochReport:
        """Score the epoch and go to the begin of the next."""
        trainer, recipe = self.trainer, self.settings.training
        loss = trainer.tally.mean_loss
        score: float | None = None
        validation_s = 0.0
        last = trainer.epoch + 1 == recipe.epochs
        if self.score_of != VALIDATION_SCORE:
            score = -loss if trainer.tally.epoch_made else None
        elif last or _is_due(recipe.validate_every, trainer.epoch + 1):
            self.save()  # an epoch is long, and so may be its evaluation
            began = time.perf_counter()
            weights = trainer.weights(self.classes)
            try:
                score = validation_score(
                    weights, self.cache, self.stream, self._validated, self.ranks
                )
            except Stopped:
                raise self._stopped() from None  # saved just before
            validation_s = time.perf_counter() - began
        best = score is not None and (trainer.best_score is None or score > trainer.best_score)
        if best:
            trainer.best_score = score
        report = EpochReport(
            epoch=trainer.epoch,
            step=trainer.step,
            loss=loss,
            score=score,
            score_of=self.score_of,
            best=best,
            validation_s=validation_s,
        )
        trainer.end_epoch()
        return report

    def _validated(self, windows: int) -> None:
        self.watcher.validated(windows)
        if self.watcher.should_stop():
            raise Stopped("the evaluation was asked to stop.")

    def _stop_if_asked(self, kept: bool) -> None:
        if self.ranks.any(self.watcher.should_stop()):
            self.save(kept=kept)
            raise self._stopped()

    def _stopped(self) -> Stopped:
        program = "dmanet" if self.ranks.ranks == 1 else "torchrun … -m cli.main"
        return Stopped(
            f"stopped after step {self.trainer.step} of {self.trainer.total_steps}; `{program} train "
            f"{self.cache.location} --run-dir {self.folder.path} --resume` goes on from there."
        )

    def _stop_if_diverged(self, report: StepReport, max_bad_steps: int) -> None:
        tally = self.trainer.tally
        if tally.bad_in_a_row < max_bad_steps:
            return
        in_a_row, tally.bad_in_a_row = tally.bad_in_a_row, 0  # a resumed run counts anew
        self.save()
        with self.ranks.together():  # one of them says it
            raise DivergedError(
                f"Training stopped at step {report.step} after {in_a_row} bad steps in a row; in "
                f"the last {report.bad_step}; {self.folder.last} holds the state after the last "
                "step that was made, previous.pt the checkpoint before. --resume goes on; a lower "
                "training.learning_rate or training.precision=fp32 in a new run may help."
            )


def _check_ranks(checkpoint: Checkpoint, ranks: Ranks) -> None:
    wanted = checkpoint.settings.training.ranks
    if wanted != ranks.ranks:
        raise CheckpointError(
            f"{checkpoint.source}: was trained by {wanted} processes, not {ranks.ranks}; resume with "
            "as many (torchrun's --nproc-per-node and --nnodes), or train into another folder."
        )


#: What `best.pt` follows where it can.
VALIDATION_SCORE = "mAP@0.5:0.95 on val, protocol release"


def _what_best_follows(cache: PillarCache, validate_every: int, classes: tuple[int, ...]) -> str:
    if validate_every and has_labels(cache, classes):
        return VALIDATION_SCORE
    why = (
        "the cache has no labels of these classes in val"
        if validate_every
        else "training.validate_every is 0"
    )
    return f"minus the mean training loss, as {why}"


def _is_due(every: int, count: int) -> bool:
    return every > 0 and count % every == 0
