"""Reading batches of a cache as a sampler orders them, in this process or ahead in others."""

import atexit
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from ctypes import c_bool
from dataclasses import replace
from functools import partial
from multiprocessing.sharedctypes import RawValue
from typing import Any

from torch.utils.data import DataLoader, Dataset

from dmanet.data.batches import PackedBatch, collate
from dmanet.data.class_selection import class_outputs, select_classes
from dmanet.data.samples import Sample
from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.reader import PillarCache
from pipeline.errors import PipelineError


class _Batches(Dataset["PackedBatch | PipelineError | OSError"]):
    """Reads a batch by its samples.

    An error is returned, not raised: a worker process of the loader would wrap its sentence in a
    traceback.
    """

    def __init__(self, cache: PillarCache, classes: tuple[int, ...], stop_noise: float) -> None:
        self.cache = cache
        self.stop_noise = stop_noise
        self.outputs = class_outputs(cache.settings.classes, classes)

    def __getitem__(self, samples: Sequence[Sample]) -> PackedBatch | PipelineError | OSError:
        try:
            # A window that fills up the batch stands there many times and is read once, and so is one
            # at rest.
            read = {
                piece: self.cache.recording(piece.recording).read(piece.start, piece.stop)
                for sample in samples
                for piece in sample.pieces
            }
            windows = [
                self._at_rest(read[piece], draw, rest) if rest else read[piece]
                for s in samples
                for piece, draw, rest in zip(s.pieces, s.draws, s.rest_of_pieces(), strict=True)
            ]
            batch = collate(windows, samples)
            return replace(batch, targets=select_classes(batch.targets, self.outputs))
        except (PipelineError, OSError) as error:
            return error

    def _at_rest(self, window: PackedWindows, draw: int, rest: int) -> PackedWindows:
        from dmanet.data.resting import at_rest  # and with it a compiler, if needed

        return at_rest(window, self.stop_noise, (draw, window.first, rest))


class BatchLoader:
    """Reads batches of a cache in the order of a sampler, in this process or ahead in others."""

    def __init__(
        self,
        cache: PillarCache,
        batches: Iterable[Sequence[Sample]],
        *,
        classes: tuple[int, ...] | None = None,
        workers: int = 0,
        pin_memory: bool = False,
        stop_noise: float = 0.0,
    ) -> None:
        """A loader of these batches.

        Args:
            cache: where windows are read.
            batches: the samples of each batch. It may be a sampler: it is iterated anew for each
                iteration of the loader.
            classes: the release's numbers of the classes to load, in the order of the network's
                outputs; None for all of the cache, in its order. Boxes of others are left out.
            workers: processes that read ahead; 0 reads in this one. The batches are the same.
            pin_memory: into page-locked memory, which a GPU copies from without waiting.
            stop_noise: events a second and pixel in windows at rest.
        """
        self._loader = DataLoader(
            _Batches(cache, cache.settings.classes if classes is None else classes, stop_noise),
            sampler=batches,
            batch_size=None,  # a sampler's element is a whole batch already
            collate_fn=_unchanged,
            num_workers=workers,
            worker_init_fn=partial(_outlive_signals, _EXITING),
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
        )

    def __iter__(self) -> Iterator[PackedBatch]:
        """Batches on the CPU.

        Raises:
            CacheError: what is stored cannot be read.
            UsageError: the cache lacks a recording or a window that a sample names.
            OSError: the machine fails to read.
        """
        for batch in self._loader:
            if isinstance(batch, PipelineError | OSError):
                raise batch
            yield batch


def _unchanged(batch: Any) -> Any:
    return batch


def _outlive_signals(exiting: Any, worker: int) -> None:
    """Let a reader end with the process it reads for, and not before.

    Ctrl-C in a terminal and many batch systems signal every process. A reader that died of it would
    take the training process with it, in the middle of a step. But at its own exit a process
    terminates its readers and waits for them: ``exiting``, shared with it, tells that from the rest.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if exiting.value else None)


def _tell_readers() -> None:
    _EXITING.value = True


#: Whether this process is at its end; shared with its readers.
_EXITING = RawValue(c_bool, False)
# Registered after multiprocessing's own end, and so called before it.
atexit.register(_tell_readers)
