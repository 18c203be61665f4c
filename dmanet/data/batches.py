"""Windows joined to batches: T steps of B slots, as compact integers.

A batch is small (a few bytes a pillar) until it is on the device, where
:func:`dmanet.data.unpacking.decode_batch` turns it into the pillars the network takes.
:mod:`dmanet.data.loading` reads batches from a cache.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmanet.data.samples import Sample, WindowRange
from dmanet.detection.losses import Targets
from pipeline.cache.packed_windows import PackedWindows
from pipeline.errors import CacheError
from pipeline.pillars.encoding import PillarEncoding


@dataclass(frozen=True)
class PackedBatch:
    """T windows of each of B slots. Frame ``t * B + b`` is step t of slot b.

    Pillars and points stand segment by segment, where segment ``polarity * T * B + frame`` is one
    polarity (0 negative, 1 positive) of one frame.

    Attributes:
        samples: which windows the B slots hold.
        encodings: one entry for each sensor size in the batch.
        pillars: ``[P]`` int32, the bits of the cache's ``step << 3 | num_points``.
        points: ``[Q]`` uint8, or int16 or int32 with the bits of the cache's uint16 or uint32.
        offsets: ``[2 * T * B + 1, 2]`` int64, first pillar and first point of every segment.
        positive: the first pillar of the positive polarity.
        spans: ``[T * B]`` int64, µs from a window's first event to its last.
        sensor: ``[T * B]`` int64, which of ``encodings`` a frame has.
        reset: ``[T, B]`` bool, True where a window does not follow the one before it in its slot.
        continues: ``[B]`` bool, True where the state of the batch before is to be carried on.
        counted: ``[T * B]`` bool, False for windows that only fill up the batch.
        draws: ``[T * B]`` int64, the seed of each frame's augmentation.
        targets: the boxes of all frames.
    """

    samples: tuple[Sample, ...]
    encodings: tuple[PillarEncoding, ...]
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

    Args:
        windows: every piece of the first sample, then every one of the second, and so on.
        samples: what the pieces make up. None: each is a sample of its own, with fresh state and
            counted whole, so that this serves as the ``collate_fn`` of a ``DataLoader`` over
            :class:`dmanet.data.dataset.WindowDataset`.

    Raises:
        CacheError: they differ in more than their sensor, so they come from different caches.
    """
    if samples is None:
        samples = [_whole(piece) for piece in windows]
    encodings = tuple(dict.fromkeys(piece.encoding for piece in windows))
    if len({encoding.settings for encoding in encodings}) > 1:
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
    reset[first] |= ~np.concatenate([_follows(sample) for sample in samples])
    reset[::steps] = starts[::steps] | ~continues
    counted = np.arange(steps)[:, None] < np.array([sample.counted for sample in samples])
    draws = np.array([draw for sample in samples for draw in sample.draws], np.int64)
    sensor = np.array([encodings.index(piece.encoding) for piece in windows])
    window = np.concatenate([piece.box_window for piece in windows]) + np.repeat(
        first, [len(piece.boxes) for piece in windows]
    )  # of each box, among all windows
    return PackedBatch(
        samples=tuple(samples),
        encodings=encodings,
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


def _follows(sample: Sample) -> np.ndarray:
    """Which pieces of a sample go on with the one before: those of a stop and, behind it, its scene."""
    pieces, rests = sample.pieces, sample.rest_of_pieces()
    follows = np.zeros(len(pieces), bool)
    for i in range(1, len(pieces)):
        before, piece = pieces[i - 1], pieces[i]
        goes_on = (before.recording, before.stop) == (piece.recording, piece.start)
        follows[i] = rests[i] > 0 or (rests[i - 1] > 0 and goes_on)
    return follows


def _whole(windows: PackedWindows) -> Sample:
    own = WindowRange(windows.recording, windows.first, windows.first + len(windows))
    return Sample((own,), (0,), continues=False, counted=len(windows))


def _in_order(pieces: Sequence[tuple[np.ndarray, np.ndarray]], segment: np.ndarray) -> np.ndarray:
    """The segments of all pieces, rows between two offsets, joined in the order ``segment``."""
    parts = [rows[a:b] for rows, offsets in pieces for a, b in pairwise(offsets.tolist())]
    return np.concatenate([parts[i] for i in segment])
