"""Windows of a cache to batches: T steps of B slots, as compact integers.

A batch is small (a few bytes a pillar) until it is on the device, where
:func:`dmanet.data.unpacking.decode_batch` turns it into the pillars the network takes.
"""

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dmanet.data.samplers import Sample, WindowRange
from dmanet.detection.losses import Targets
from dmanet.settings import ModelSettings
from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.errors import CacheError, PipelineError, UsageError
from pipeline.pillars.encoding import PillarEncoding


@dataclass(frozen=True)
class PackedBatch:
    """T windows of each of B slots. Frame ``t * B + b`` is step t of slot b.

    Pillars and points stand segment by segment, where segment ``polarity * T * B + frame`` is one
    polarity (0 negative, 1 positive) of one frame.

    Attributes:
        samples: which windows the B slots hold.
        settings: one entry for each sensor size in the batch.
        pillars: ``[P]`` int32, the bits of the cache's ``step << 3 | num_points``.
        points: ``[Q]`` uint8, or int16 or int32 with the bits of the cache's uint16 or uint32.
        offsets: ``[2 * T * B + 1, 2]`` int64, first pillar and first point of every segment.
        positive: the first pillar of the positive polarity.
        spans: ``[T * B]`` int64, µs from a window's first event to its last.
        sensor: ``[T * B]`` int64, which of ``settings`` a frame has.
        reset: ``[T, B]`` bool, True where a window does not follow the one before it in its slot.
        continues: ``[B]`` bool, True where the state of the batch before is to be carried on.
        counted: ``[T * B]`` bool, False for windows that only fill up the batch.
        draws: ``[T * B]`` int64, the seed of each frame's augmentation.
        targets: the boxes of all frames.
    """

    samples: tuple[Sample, ...]
    settings: tuple[PillarEncoding, ...]
    pillars: Tensor
    points: Tensor
    offsets: Tensor
    positive: int
    spans: Tensor
    sensor: Tensor
    reset: Tensor
    continues: Tensor
    counted: Tensor
    draws: Tensor
    targets: Targets

    @property
    def steps(self) -> int:
        """T."""
        return len(self.reset)

    @property
    def sequences(self) -> int:
        """B."""
        return len(self.samples)

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


def collate(
    windows: Sequence[PackedWindows], samples: Sequence[Sample] | None = None
) -> PackedBatch:
    """Join the pieces of B samples of T windows each.

    ``windows`` holds every piece of the first sample, then every one of the second, and so on.
    Without ``samples`` each of them is a sample of its own, with fresh state and counted whole.

    Raises:
        CacheError: they differ in more than their sensor, so they come from different caches.
    """
    if samples is None:
        samples = [_whole(piece) for piece in windows]
    settings = tuple(dict.fromkeys(piece.encoding for piece in windows))
    if len({encoding.settings for encoding in settings}) > 1:
        raise CacheError("A batch mixes windows of caches with different settings; use one cache.")
    lengths = np.array([len(piece) for piece in windows])
    first = lengths.cumsum() - lengths  # of each piece, among all windows
    batch, steps = len(samples), int(lengths.sum()) // len(samples)

    def by_frame(values: np.ndarray) -> Tensor:
        """From one value for each window, sample after sample, to ``[T * B]``."""
        return torch.from_numpy(values.reshape(batch, steps).T.reshape(-1))

    segment = np.arange(2 * batch * steps).reshape(batch, steps, 2).transpose(2, 1, 0).reshape(-1)
    counts = np.concatenate([np.diff(piece.offsets, axis=0) for piece in windows])[segment]
    offsets = np.concatenate([np.zeros((1, 2), np.int64), counts.cumsum(axis=0)])
    pillars = _in_order([(piece.pillars, piece.offsets[:, 0]) for piece in windows], segment)
    points = _in_order([(piece.points, piece.offsets[:, 1]) for piece in windows], segment)
    if points.dtype != np.uint8:
        points = points.view(f"i{points.itemsize}")  # torch computes with few unsigned types

    continues = np.array([sample.continues for sample in samples])
    starts = np.concatenate([piece.starts for piece in windows])
    reset = starts.copy()
    reset[first] = True
    reset[::steps] = starts[::steps] | ~continues
    counted = np.arange(steps)[:, None] < np.array([sample.counted for sample in samples])
    draws = np.array([draw for sample in samples for draw in sample.draws], np.int64)
    sensor = np.array([settings.index(piece.encoding) for piece in windows])
    window = np.concatenate([piece.box_window for piece in windows]) + np.repeat(
        first, [len(piece.boxes) for piece in windows]
    )  # of each box, among all windows
    return PackedBatch(
        samples=tuple(samples),
        settings=settings,
        pillars=torch.from_numpy(pillars.view(np.int32)),
        points=torch.from_numpy(points),
        offsets=torch.from_numpy(offsets),
        positive=int(offsets[batch * steps, 0]),
        spans=by_frame(np.concatenate([piece.spans for piece in windows])),
        sensor=by_frame(np.repeat(sensor, lengths)),
        reset=by_frame(reset).view(steps, batch),
        continues=torch.from_numpy(continues),
        counted=torch.from_numpy(counted.reshape(-1)),
        draws=by_frame(np.repeat(draws, lengths)),
        targets=Targets(
            boxes=torch.from_numpy(np.concatenate([piece.boxes for piece in windows])),
            classes=torch.from_numpy(np.concatenate([piece.classes for piece in windows])),
            frame=torch.from_numpy(window % steps * batch + window // steps),
        ),
    )


def _whole(windows: PackedWindows) -> Sample:
    own = WindowRange(windows.recording, windows.first, windows.first + len(windows))
    return Sample((own,), (0,), continues=False, counted=len(windows))


def _in_order(pieces: Sequence[tuple[np.ndarray, np.ndarray]], segment: np.ndarray) -> np.ndarray:
    """The segments of all pieces, rows between two offsets, joined in the order ``segment``."""
    parts = [rows[a:b] for rows, offsets in pieces for a, b in pairwise(offsets.tolist())]
    return np.concatenate([parts[i] for i in segment])


class _Batches(Dataset["PackedBatch | PipelineError"]):
    """Reads a batch by its samples. An error is returned, not raised: a worker process of the loader
    would wrap its sentence in a traceback.
    """

    def __init__(self, cache: PillarCache, classes: tuple[int, ...]) -> None:
        self.cache = cache
        self.outputs = class_outputs(cache.settings.classes, classes)

    def __getitem__(self, samples: Sequence[Sample]) -> PackedBatch | PipelineError:
        try:
            # A window that fills up the batch stands there many times and is read once.
            read = {
                piece: self.cache.recording(piece.recording).read(piece.start, piece.stop)
                for sample in samples
                for piece in sample.pieces
            }
            batch = collate([read[piece] for s in samples for piece in s.pieces], samples)
            return replace(batch, targets=select_classes(batch.targets, self.outputs))
        except PipelineError as error:
            return error


class BatchLoader:
    """Reads batches of a cache in the order of ``batches``, in this process or ahead in others.

    ``batches`` may be a sampler: it is iterated anew for each iteration of the loader.
    """

    def __init__(
        self,
        cache: PillarCache,
        batches: Iterable[Sequence[Sample]],
        *,
        classes: tuple[int, ...] | None = None,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        """``classes``: the release's numbers of the classes to load, in the order of the network's
        outputs; None for all of the cache, in its order. Boxes of others are left out.

        ``workers``: processes that read ahead; 0 reads in this one. The batches are the same.
        """
        self._loader = DataLoader(
            _Batches(cache, cache.settings.classes if classes is None else classes),
            sampler=batches,
            batch_size=None,  # a sampler's element is a whole batch already
            collate_fn=_unchanged,
            num_workers=workers,
            worker_init_fn=_outlive_signals,
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


def _outlive_signals(worker: int) -> None:
    """Ctrl-C in a terminal and many batch systems signal every process. A reader that died of it would
    take the training process with it, in the middle of a step; it ends once that process has ended.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def class_outputs(cached: tuple[int, ...], classes: tuple[int, ...]) -> Tensor:
    """For each class of a cache its place in ``classes``, -1 where it is not among them; int64.

    Both are numbers of the release.
    """
    return torch.tensor([classes.index(c) if c in classes else -1 for c in cached])


def select_classes(targets: Targets, outputs: Tensor) -> Targets:
    """The boxes whose class ``outputs`` names (:func:`class_outputs`), under their new numbers."""
    classes = outputs[targets.classes]
    kept = classes >= 0
    return Targets(targets.boxes[kept], classes[kept], targets.frame[kept])


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


def check_fit(
    cache: PillarCache,
    settings: ModelSettings,
    source: str,
    classes: tuple[int, ...] | None = None,
) -> None:
    """Check that a network of ``settings`` takes what the cache holds and knows its classes.

    ``source`` names the network in the message, as in "that of last.pt"; ``classes`` are the
    release's numbers of its outputs, None for those of the cache.

    Raises:
        CacheError: it does not, naming the first key in which they differ.
    """
    if classes is None:
        classes = cache.settings.classes
    elif not set(classes) <= set(cache.settings.classes):
        raise CacheError(
            f"{cache.location}: a network for this cache has classes among "
            f"{cache.settings.classes}, {source} has {classes}; use a cache that holds them all, or "
            "a network for fewer (`dmanet train` takes --set training.classes=…)."
        )
    width, height = cache.settings.grid
    for key, fitting, found in (
        ("grid_size", (height, width), settings.grid_size),
        ("max_points", cache.settings.max_points, settings.max_points),
        ("num_classes", len(classes), settings.num_classes),
    ):
        if fitting != found:
            raise CacheError(
                f"{cache.location}: a network for this cache has {key} = {fitting}, {source} has "
                f"{found}; choose another network (`dmanet train` takes --set model.{key}=…) or "
                "voxelize with other settings."
            )
