"""A training run at work: its trainer, what it reads, and where it writes."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from dmanet.data.batches import PackedBatch
from dmanet.data.fitting import has_labels
from dmanet.ranks import Ranks
from dmanet.recipes import RunSettings
from dmanet.runs.folder import RunFolder
from dmanet.runs.log import EpochReport, RunLog, StepReport
from dmanet.runs.loggers import GuardedLogger, import_logger
from dmanet.runs.records import Checkpoint
from dmanet.runs.sessions import SessionLine, add_session, describe_session
from dmanet.runs.weights import load_weights
from dmanet.training.batches import TrainingBatches
from dmanet.training.memory import check_network_fits
from dmanet.training.resume import check_same_ranks, check_same_run, restore, take_checkpoint
from dmanet.training.step import Trainer
from dmanet.training.validated import write_validation
from dmanet.training.validation import VALIDATION_SPLIT, Validated, Validation
from dmanet.training.warm_start import warm_start
from dmanet.training.watcher import TrainingWatcher
from pipeline.cache.reader import PillarCache
from pipeline.errors import SettingsError


class TrainingRun:
    """A run at work.

    Attributes:
        folder: where it writes.
        settings: that decide it, with the number of ``ranks``.
        trainer: the network and where it stands.
        validation: how an epoch is scored.
        location: of the cache.
    """

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
        """Set up a new run, or the one of ``checkpoint``; nothing is written yet."""
        self.settings, self.folder, self.location = settings, folder, cache.location
        self.device, self.ranks, self.watcher = device, ranks, watcher
        self.batches = TrainingBatches(cache, settings, device, workers, ranks=ranks)
        self._cache = cache
        self._fingerprint = cache.attributes["fingerprint"]
        self._recordings = {
            recording.id: str(recording.attributes["digest"])
            for split in ("train", VALIDATION_SPLIT)
            for recording in cache.recordings(split)
        }
        if checkpoint is not None:
            check_same_run(
                checkpoint, settings, self._fingerprint, self._recordings, cache.location
            )
        check_network_fits(settings, device)
        self.trainer = Trainer(settings, device, len(self.batches), ranks)
        if checkpoint is not None:
            restore(self.trainer, checkpoint)
        self._made_when_saved = checkpoint.tally.made if checkpoint else None
        self.validation = Validation(
            cache, settings.training, self.batches.classes, device, self.trainer.precision, workers
        )
        self._logger: GuardedLogger | None = None
        if (name := settings.training.logger) and ranks.is_main:
            self._logger = GuardedLogger(name, import_logger(name), watcher.noted)
        self._log: RunLog | None = None

    def begin(self, checkpoint: Checkpoint | None) -> None:
        """Make the folder ready: that of a new run, or of the one of ``checkpoint``."""
        if checkpoint is None:  # so that a run that is killed in its first epoch can be resumed too
            self.save()
        with self.ranks.barrier():
            if self.ranks.is_main:
                self.folder.write_settings(self.settings)
                if self.trainer.epoch < self.settings.training.epochs:  # else nothing is left to do
                    add_session(self.folder.path, self._session())
                if checkpoint is not None:
                    self.folder.go_on_from(checkpoint)
        if not has_labels(self._cache, "train", self.batches.classes):
            self.watcher.noted(
                f"{self.location}: has no box of the classes to learn in the split train, so that the "
                "network learns to find nothing; check the labels, --classes and training.classes."
            )
        recipe, lengths = self.settings.training, self.batches.sampler.lengths
        short = [key for key, windows in lengths.items() if windows < recipe.steps]
        if short and recipe.sampling == "random":
            self.watcher.noted(
                f"{len(short)} recordings (such as {short[0]}) are shorter than a sample of "
                f"{recipe.steps} windows and are never read; training.sampling=stream reads all."
            )

    def _session(self) -> SessionLine:
        trainer = self.trainer
        return describe_session(trainer.step, self.device, trainer.precision, self.ranks.world_size)

    def log(self) -> AbstractContextManager[RunLog | None]:
        """Open the run's log until the block ends; the main process writes it."""
        if self.ranks.is_main:
            step, epoch = self.trainer.step, self.trainer.epoch
            self._log = RunLog(self.folder.path, step, epoch, self._logger)
        return self._log or nullcontext()

    def batches_left(self) -> Iterator[tuple[PackedBatch, float]]:
        """The batches of this epoch that are left, with the seconds spent waiting for each."""
        batches = self.batches.of_epoch(self.trainer.epoch, self.trainer.position)
        while True:
            before = time.perf_counter()
            with self.ranks.barrier():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch, time.perf_counter() - before

    def tell_step(self, report: StepReport) -> None:
        """Log a step and tell the watcher."""
        if self._log is not None:
            self._log.write(report)
        self.watcher.stepped(report, self.trainer.total_steps)

    def tell_epoch(self, report: EpochReport) -> None:
        """Log an epoch and tell the watcher."""
        if self._log is not None:
            self._log.write_epoch(report)
        self.watcher.epoch_ended(report)

    def tell_validation(self, validated: Validated) -> None:
        """Log what a validation found beside its score, in the main process."""
        if self._log is not None:
            write_validation(self._log, self.folder.path, self.trainer.step - 1, validated)

    def save(self, *, best: bool = False, kept: bool = False) -> None:
        """Write a checkpoint of where the run stands; ``best``, ``kept`` as :meth:`RunFolder.save`."""
        checkpoint = take_checkpoint(
            self.trainer,
            self._fingerprint,
            self._recordings,
            self.batches.class_names,
            self._cache.settings,
        )
        # Where no step was made since, the weights are those of the last checkpoint: when they are
        # what went wrong, the one before has to stay.
        same = self._made_when_saved == self.trainer.tally.made
        self._made_when_saved = self.trainer.tally.made
        with self.ranks.barrier():
            if self.ranks.is_main:
                self.folder.save(checkpoint, best=best, kept=kept, replaces_last=same)


def begin_run(
    cache: PillarCache,
    settings: RunSettings | None,
    run_dir: Path,
    device: torch.device,
    workers: int,
    resume: bool,
    watcher: TrainingWatcher,
    ranks: Ranks,
) -> TrainingRun:
    """A new run, or with ``resume`` the one in ``run_dir``, its folder ready.

    Arguments and errors are those of :func:`dmanet.training.loop.train`.
    """
    folder = RunFolder(run_dir)
    checkpoint = None
    with ranks.barrier():
        if resume:
            checkpoint = folder.load(watcher.noted)
            check_same_ranks(checkpoint, ranks)
            settings = settings or checkpoint.settings
        else:
            folder.check_new()
        if settings is None:
            raise SettingsError("A new run needs settings; name a preset.")
        settings = settings.with_ranks(ranks.world_size)
        run = TrainingRun(cache, settings, folder, device, workers, checkpoint, watcher, ranks)
        if checkpoint is None and settings.training.init_from is not None:
            weights = load_weights(Path(settings.training.init_from))
            watcher.noted(str(warm_start(run.trainer, weights, run.batches.class_names)))
    run.begin(checkpoint)
    return run
