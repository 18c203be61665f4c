"""Windows of a cache to batches: T steps of B sequences, as compact integers.

A batch is small (a few bytes a pillar) until it is on the device, where
:func:`dmanet.decoding.decode_batch` turns it into the pillars the network takes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dmanet.config import ModelSettings
from dmanet.losses import Targets
from dmanet.samplers import WindowRange
from pipeline.cache import CachedRecording, PackedWindows, PillarCache
from pipeline.errors import CacheError, PipelineError, UsageError
from pipeline.pillars import PillarSettings


@dataclass(frozen=True)
class PackedBatch:
    """T consecutive windows of each of B sequences. Frame ``t * B + b`` is step t of sequence b.

    Pillars and points stand segment by segment, where segment ``polarity * T * B + frame`` is one
    polarity (0 negative, 1 positive) of one frame.

    Attributes:
        ranges: which windows the B sequences are.
        settings: one entry for each sensor size in the batch.
        pillars: ``[P]`` int32, the bits of the cache's ``step << 3 | num_points``.
        points: ``[Q]`` uint8, or int32 with the bits of the cache's uint32.
        offsets: ``[2 * T * B + 1, 2]`` int64, first pillar and first point of every segment.
        positive: the first pillar of the positive polarity.
        spans: ``[T * B]`` int64, µs from a window's first event to its last.
        sensor: ``[T * B]`` int64, which of ``settings`` a frame has.
        reset: ``[T, B]`` bool, True where a window does not follow the one before it.
        targets: the boxes of all frames.
    """

    ranges: tuple[WindowRange, ...]
    settings: tuple[PillarSettings, ...]
    pillars: Tensor
    points: Tensor
    offsets: Tensor
    positive: int
    spans: Tensor
    sensor: Tensor
    reset: Tensor
    targets: Targets

    @property
    def steps(self) -> int:
        """T."""
        return len(self.reset)

    @property
    def sequences(self) -> int:
        """B."""
        return len(self.ranges)

    @property
    def frames(self) -> int:
        """T * B."""
        return self.reset.numel()

    def to(self, device: torch.device | str) -> "PackedBatch":
        """The same batch on another device; from pinned memory without waiting."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "PackedBatch":
        """The same batch in page-locked memory; the loader calls this."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "PackedBatch":
        tensors: dict[str, Any] = {
            name: function(value) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        targets = Targets(*(function(tensor) for tensor in vars(self.targets).values()))
        return replace(self, targets=targets, **tensors)


def collate(samples: Sequence[PackedWindows]) -> PackedBatch:
    """Join B sequences of T windows each.

    Raises:
        CacheError: they differ in more than their sensor, so they come from different caches.
    """
    batch, steps = len(samples), len(samples[0])
    settings = tuple(dict.fromkeys(sample.settings for sample in samples))
    if len({(s.preset, s.grid, s.num_bins, s.max_points) for s in settings}) > 1:
        raise CacheError("A batch mixes windows of caches with different settings; use one cache.")
    frames = [(sample, t) for t in range(steps) for sample in samples]
    segments = [
        (sample, sample.offsets[2 * t + polarity], sample.offsets[2 * t + polarity + 1])
        for polarity in (0, 1)
        for sample, t in frames
    ]
    counts = np.array([stop - start for _, start, stop in segments])  # [2 * T * B, 2]
    offsets = np.concatenate([np.zeros((1, 2), np.int64), counts.cumsum(axis=0)])
    pillars = np.concatenate([s.pillars[start[0] : stop[0]] for s, start, stop in segments])
    points = np.concatenate([s.points[start[1] : stop[1]] for s, start, stop in segments])
    if points.dtype == np.uint32:
        points = points.view(np.int32)  # torch computes with few unsigned types
    targets = Targets(
        boxes=torch.from_numpy(np.concatenate([s.boxes for s in samples])),
        classes=torch.from_numpy(np.concatenate([s.classes for s in samples])),
        frame=torch.from_numpy(
            np.concatenate([s.box_window * batch + b for b, s in enumerate(samples)])
        ),
    )
    return PackedBatch(
        ranges=tuple(WindowRange(s.recording, s.first, s.first + steps) for s in samples),
        settings=settings,
        pillars=torch.from_numpy(pillars.view(np.int32)),
        points=torch.from_numpy(points),
        offsets=torch.from_numpy(offsets),
        positive=int(offsets[len(frames), 0]),
        spans=torch.from_numpy(np.stack([s.spans for s in samples], axis=1).reshape(-1)),
        sensor=torch.tensor([settings.index(s.settings) for s in samples]).repeat(steps),
        reset=torch.from_numpy(np.stack([s.starts for s in samples], axis=1)),
        targets=targets,
    )


class _Batches(Dataset["PackedBatch | PipelineError"]):
    """Reads a batch by its ranges. An error is returned, not raised: a worker process of the loader
    would wrap its sentence in a traceback.
    """

    def __init__(self, cache: PillarCache) -> None:
        self.cache = cache

    def __getitem__(self, ranges: Sequence[WindowRange]) -> PackedBatch | PipelineError:
        try:
            return collate(
                [self.cache.recording(r.recording).read(r.start, r.stop) for r in ranges]
            )
        except PipelineError as error:
            return error


class BatchLoader:
    """Reads batches of a cache in the order of ``ranges``, in this process or ahead in others.

    ``ranges`` may be a sampler: it is iterated anew for each iteration of the loader.
    """

    def __init__(
        self,
        cache: PillarCache,
        ranges: Iterable[Sequence[WindowRange]],
        *,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        """``workers``: processes that read ahead; 0 reads in this one. The batches are the same."""
        self._loader = DataLoader(
            _Batches(cache),
            sampler=ranges,
            batch_size=None,  # a sampler's element is a whole batch already
            collate_fn=_unchanged,
            num_workers=workers,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
        )

    def __iter__(self) -> Iterator[PackedBatch]:
        """Batches on the CPU. Raises what reading the cache raises."""
        for batch in self._loader:
            if isinstance(batch, PipelineError):
                raise batch
            yield batch


def _unchanged(batch: Any) -> Any:
    return batch


def recordings_of(cache: PillarCache, split: str) -> list[CachedRecording]:
    """The recordings of a split.

    Raises:
        UsageError: the split has none, or their windows are none.
    """
    recordings = [recording for recording in cache.recordings(split) if len(recording)]
    if not recordings:
        splits = sorted({key.split("/")[0] for key in cache.recording_ids})
        raise UsageError(
            f"{cache.location}: holds no windows of the split '{split}'; it holds "
            f"{', '.join(splits) or 'no recording at all'}."
        )
    return recordings


def check_fit(cache: PillarCache, settings: ModelSettings, source: str) -> None:
    """Check that a network of ``settings`` takes what the cache holds.

    ``source`` names the network in the message, as in "that of last.pt".

    Raises:
        CacheError: they differ, naming the first key in which they do.
    """
    width, height = cache.settings.grid
    for key, cached, wanted in (
        ("grid_size", (height, width), settings.grid_size),
        ("max_points", cache.settings.max_points, settings.max_points),
        ("num_classes", len(cache.settings.classes), settings.num_classes),
    ):
        if cached != wanted:
            raise CacheError(
                f"{cache.location}: a network for this cache has {key} = {cached}, {source} has "
                f"{wanted}; choose another network (`dmanet train` takes --set model.{key}=…) or "
                "voxelize with other settings."
            )
