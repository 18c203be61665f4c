"""The batches that a training run reads: which windows, in which order, and who loads them."""

import itertools
from collections.abc import Iterator

import torch

from dmanet.data.batches import PackedBatch
from dmanet.data.fitting import check_fit, recordings_of
from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import WindowSampler, make_sampler
from dmanet.ranks import ALONE, Ranks
from dmanet.recipes import RunSettings
from pipeline.cache.reader import PillarCache


class TrainingBatches:
    """Sampler and loader of the split `train`, as a recipe wants them.

    Attributes:
        classes: the release's number of each class to learn.
        class_names: their names.
        sampler: chooses the windows of an epoch's batches.
    """

    def __init__(
        self,
        cache: PillarCache,
        settings: RunSettings,
        device: torch.device,
        workers: int,
        *,
        ranks: Ranks = ALONE,
        source: str = "this run's",
    ) -> None:
        """Choose the windows; nothing is read yet.

        Args:
            cache: where they come from.
            settings: of the run.
            device: where the batches are going to.
            workers: processes that read ahead.
            ranks: this process among those that read a part each.
            source: how an error calls the network of ``settings``.

        Raises:
            UsageError: the split has no windows.
            CacheError: the network does not fit the cache.
            DataError: there are too few windows.
            SettingsError: the sampling does not fit the batch size.
        """
        recipe = settings.training
        recordings = recordings_of(cache, "train")
        self.class_names = recipe.classes or cache.settings.output_names
        check_fit(cache, settings.model, source, self.class_names, trained=False)
        self.classes = cache.settings.numbers_of(self.class_names)
        self.sampler: WindowSampler = make_sampler(
            recipe.sampling,
            {recording.id: len(recording) for recording in recordings},
            recipe.steps,
            recipe.batch_size,
            recipe.seed,
            rank=ranks.rank,
            ranks=ranks.world_size,
            augmentation=settings.augmentation,
        )
        self._loader = BatchLoader(
            cache,
            self.sampler,
            classes=self.classes,
            workers=workers,
            pin_memory=device.type == "cuda",
            stop_noise=settings.augmentation.stop_noise,
        )

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.sampler)

    def of_epoch(self, epoch: int, position: int = 0) -> Iterator[PackedBatch]:
        """The batches of an epoch from number ``position`` on, on the CPU."""
        self.sampler.epoch, self.sampler.position = epoch, position
        yield from self._loader

    def forever(self) -> Iterator[PackedBatch]:
        """The batches of one epoch after the other, without end, on the CPU."""
        for epoch in itertools.count():
            yield from self.of_epoch(epoch)
