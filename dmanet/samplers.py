"""Which windows are read together: ranges of consecutive windows, grouped into batches.

A *range* is T consecutive windows of one recording as the cache holds them. It may cross a time
gap: the windows behind the gap carry the flag that resets both memories, so nothing is left out
because a recording has holes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from pipeline.errors import DataError


class WindowRange(NamedTuple):
    """Windows ``start`` to ``stop`` (exclusive) of the recording ``recording``."""

    recording: str
    start: int
    stop: int


class RandomWindows(Sampler[list[WindowRange]]):
    """Batches of ranges that begin at any window, drawn anew each epoch.

    A recording of L windows gives ``L // steps`` ranges an epoch: their starts are drawn one from
    each of as many equal parts of ``0...L - steps``, so an epoch covers every recording evenly and
    about once. The ranges of all recordings are shuffled; those that do not fill the last batch wait
    for another epoch. What is drawn depends on the seed and the epoch alone.
    """

    def __init__(
        self, lengths: Mapping[str, int], steps: int, batch_size: int, seed: int, epoch: int = 0
    ) -> None:
        """``lengths``: windows of each recording; ``steps``: T; ``batch_size``: ranges in a batch.

        Raises:
            DataError: all recordings together do not give one batch.
        """
        self.lengths = dict(lengths)
        self.steps = steps
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.ranges = sum(length // steps for length in self.lengths.values())
        if self.ranges < batch_size:
            raise DataError(
                f"{len(self.lengths)} recordings with {sum(self.lengths.values())} windows give "
                f"{self.ranges} samples of {steps} windows, fewer than a batch of {batch_size}; "
                "set training.steps or training.batch_size lower, or add recordings."
            )

    def __len__(self) -> int:
        return self.ranges // self.batch_size

    def __iter__(self) -> Iterator[list[WindowRange]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        ranges = []
        for recording, length in self.lengths.items():
            count = length // self.steps
            if not count:
                continue
            choices = length - self.steps + 1
            starts = (np.arange(count) + rng.random(count)) * choices / count
            # A sum that rounds up to ``count`` must not reach past the end.
            starts = np.minimum(starts.astype(np.int64), choices - 1)
            ranges += [WindowRange(recording, int(s), int(s) + self.steps) for s in starts]
        order = rng.permutation(len(ranges))
        for batch in order[: len(self) * self.batch_size].reshape(len(self), self.batch_size):
            yield [ranges[i] for i in batch]


def consecutive_windows(
    recording: str, start: int, stop: int, steps: int
) -> Sequence[list[WindowRange]]:
    """Windows ``start`` to ``stop`` of a recording in order, ``steps`` at a time, as batches of one.

    The last one may be shorter.
    """
    return [
        [WindowRange(recording, first, min(first + steps, stop))]
        for first in range(start, stop, steps)
    ]
