"""Which windows are read together: samples of T consecutive windows, grouped into batches.

A batch has B *slots* with one sample each. A slot is either *random*, where every sample begins
anywhere and with fresh state, or a *stream*, where each sample goes on where the slot's sample of
the batch before ended, so that state can be carried.

A sample may cross a time gap: the windows behind the gap carry the flag that resets both memories,
so nothing is left out because a recording has holes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dmanet.data.augmentation_settings import AugmentationSettings
from dmanet.data.samples import Sample, WindowRange
from dmanet.data.tapes import last_window, read_tape
from pipeline.errors import DataError, SettingsError

SamplingMode = Literal["random", "stream", "mixed"]

_DRAWS = 2**63  # draws are int64 and not negative
_WITHOUT_STOPS = AugmentationSettings()


@dataclass
class WindowSampler:
    """Batches of one epoch, in an order that depends on the seed and the epoch alone.

    An epoch is one pass over all windows by the streams or, without streams, one pass by the random
    slots (:func:`random_slots`). With streams, random slots draw as often as the streams need.

    Attributes:
        lengths: windows of each recording.
        steps: T.
        random: random slots of the whole batch, over all processes; they come first.
        streams: streams of the whole batch, over all processes.
        seed: of everything drawn.
        own: the slots that this process reads.
        augmentation: whose stops are put between the windows.
        epoch: the pass that the next iteration makes.
        position: leading batches of that pass to leave out, for going on in mid-epoch.
    """

    lengths: Mapping[str, int]
    steps: int
    random: int
    streams: int
    seed: int
    own: slice
    augmentation: AugmentationSettings = _WITHOUT_STOPS
    epoch: int = 0
    position: int = 0

    def __len__(self) -> int:
        """Batches of a whole epoch, wherever iteration begins."""
        if self.streams:
            longest = -(-sum(self.lengths.values()) // self.streams)
            return -(-longest // self.steps)
        return _random_samples(self.lengths, self.steps) // self.random

    def __iter__(self) -> Iterator[list[Sample]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        slots = [
            *random_slots(self.lengths, self.steps, self.random, len(self), rng, self.augmentation),
            *stream_slots(self.lengths, self.steps, self.streams, rng, self.augmentation),
        ]
        for batch in range(self.position, len(self)):
            yield [slot[batch] for slot in slots[self.own]]


def make_sampler(
    mode: SamplingMode,
    lengths: Mapping[str, int],
    steps: int,
    batch_size: int,
    seed: int,
    *,
    rank: int = 0,
    ranks: int = 1,
    augmentation: AugmentationSettings = _WITHOUT_STOPS,
) -> WindowSampler:
    """The sampler of a training run.

    Args:
        mode: ``random``, ``stream``, or ``mixed``: the first half of the slots (rounded down) random
            and the others streams.
        lengths: windows of each recording.
        steps: T.
        batch_size: slots of one process.
        seed: of everything drawn.
        rank: which process this is. All together read what one would with ``batch_size * ranks``
            slots; this one the slots from ``batch_size * rank`` on.
        ranks: processes in all.
        augmentation: whose stops are put between the windows.

    Raises:
        DataError: the recordings do not give one batch.
        SettingsError: ``mixed`` with a single slot.
    """
    slots = batch_size * ranks
    if mode == "mixed" and slots == 1:
        raise SettingsError(
            "Mixed sampling needs two samples in a batch, one of each kind; set "
            "training.batch_size=2 or more, or sample at random or in streams alone."
        )
    random = {"random": slots, "stream": 0, "mixed": slots // 2}[mode]
    windows = sum(lengths.values())
    drawn = _random_samples(lengths, steps)
    if (random and not drawn) or drawn < random == slots:
        raise DataError(
            f"{len(lengths)} recordings with {windows} windows give {drawn} samples of {steps} "
            f"windows, fewer than a batch of {random}; set training.steps or training.batch_size "
            "lower, or add recordings."
        )
    if windows < slots - random:
        raise DataError(
            f"{len(lengths)} recordings with {windows} windows cannot be read as {slots - random} "
            "streams; set training.batch_size lower, or add recordings."
        )
    own = slice(batch_size * rank, batch_size * (rank + 1))
    lengths = {recording: length for recording, length in lengths.items() if length}
    return WindowSampler(lengths, steps, random, slots - random, seed, own, augmentation)


def random_slots(
    lengths: Mapping[str, int],
    steps: int,
    slots: int,
    batches: int,
    rng: np.random.Generator,
    augmentation: AugmentationSettings = _WITHOUT_STOPS,
) -> list[list[Sample]]:
    """The samples of slots that begin at any window of a recording.

    In one pass a recording of L windows gives ``L // steps`` samples: their starts are drawn one from
    each of as many equal parts of ``0...L - steps``, so a pass covers every recording evenly and
    about once. The samples of all recordings are shuffled; there are as many passes as it takes, and
    what the last one has too many waits for another epoch.

    Args:
        lengths: windows of each recording.
        steps: T.
        slots: how many there are.
        batches: samples of each slot.
        rng: of everything drawn.
        augmentation: whose stops are put between the windows.

    Returns:
        For each slot its samples in order.
    """
    ranges: list[WindowRange] = []
    while len(ranges) < slots * batches:
        ranges += _random_pass(lengths, steps, rng)
    draws = rng.integers(_DRAWS, size=slots * batches).tolist()
    samples = [
        read_tape([(one, draw)], steps, augmentation)[0]
        for one, draw in zip(ranges, draws, strict=False)
    ]
    return [samples[slot::slots] for slot in range(slots)]


def stream_slots(
    lengths: Mapping[str, int],
    steps: int,
    streams: int,
    rng: np.random.Generator,
    augmentation: AugmentationSettings = _WITHOUT_STOPS,
) -> list[list[Sample]]:
    """The samples of streams, which together read every window once, stops apart.

    The recordings are shuffled and their windows laid end to end. That tape is cut into ``streams``
    parts, equal but for one window, and each stream reads its part T windows at a time. All have
    equally many samples; where a part ends early, its last window is repeated and not counted.

    Args:
        lengths: windows of each recording.
        steps: T.
        streams: how many there are.
        rng: of everything drawn.
        augmentation: whose stops are put between the windows.

    Returns:
        For each stream its samples in order.
    """
    if not streams:
        return []
    windows = sum(lengths.values())
    cuts = [stream * windows // streams for stream in range(streams + 1)]
    tapes: list[list[tuple[WindowRange, int]]] = [[] for _ in range(streams)]
    names = list(lengths)
    begin = 0
    for recording in (names[i] for i in rng.permutation(len(names))):
        end = begin + lengths[recording]
        for stream in range(bisect_right(cuts, begin) - 1, bisect_left(cuts, end)):
            start, stop = max(begin, cuts[stream]) - begin, min(end, cuts[stream + 1]) - begin
            draw = int(rng.integers(_DRAWS))
            tapes[stream].append((WindowRange(recording, start, stop), draw))
        begin = end
    slots = [read_tape(tape, steps, augmentation) for tape in tapes]
    longest = max(map(len, slots))
    return [slot + [_repeated(slot[-1], steps)] * (longest - len(slot)) for slot in slots]


def _random_samples(lengths: Mapping[str, int], steps: int) -> int:
    """Samples of one random pass."""
    return sum(length // steps for length in lengths.values())


def _random_pass(
    lengths: Mapping[str, int], steps: int, rng: np.random.Generator
) -> Sequence[WindowRange]:
    ranges = []
    for recording, length in lengths.items():
        count = length // steps
        if not count:
            continue
        choices = length - steps + 1
        starts = (np.arange(count) + rng.random(count)) * choices / count
        # A sum that rounds up to ``count`` must not reach past the end.
        starts = np.minimum(starts.astype(np.int64), choices - 1)
        ranges += [WindowRange(recording, int(s), int(s) + steps) for s in starts]
    return [ranges[i] for i in rng.permutation(len(ranges))]


def _repeated(last: Sample, steps: int) -> Sample:
    """A whole sample of the last window of a stream, none of it counted."""
    window = last_window(last.pieces[-1])
    return Sample((window,) * steps, (last.draws[-1],) * steps, continues=False, counted=0)
