"""A split of a cache as a map-style dataset, for a plain ``torch.utils.data.DataLoader``."""

from torch.utils.data import Dataset

from dmanet.data.fitting import recordings_of
from dmanet.data.samplers import WindowRange
from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.reader import PillarCache
from pipeline.errors import DataError


class WindowDataset(Dataset[PackedWindows]):
    """Samples of T consecutive windows, recording by recording; together they hold every window.

    ``DataLoader(dataset, batch_size=B, collate_fn=collate)`` joins them to batches, and
    :func:`dmanet.data.unpacking.decode_batch` turns these into the network's input. Workers may be
    forked or spawned: a worker opens the files of the cache itself. (Training reads by
    :class:`dmanet.data.loading.BatchLoader`, whose samples also carry state from batch to batch.)
    """

    def __init__(self, cache: PillarCache, split: str, steps: int = 10) -> None:
        """The samples of a split.

        Args:
            cache: where windows are read.
            split: ``train``, ``val`` or ``test``.
            steps: windows T of a sample. Where they do not divide a recording's length, its last
                sample overlaps the one before; recordings of fewer windows are left out.

        Raises:
            UsageError: the cache has no such split.
            DataError: none of its recordings is long enough.
        """
        self.cache = cache
        self.ranges = [
            WindowRange(recording.id, start, start + steps)
            for recording in recordings_of(cache, split)
            for start in _starts(len(recording), steps)
        ]
        if not self.ranges:
            raise DataError(
                f"{cache.location}: no recording of the split '{split}' has {steps} windows; choose "
                "fewer steps."
            )

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.ranges)

    def __getitem__(self, index: int) -> PackedWindows:
        """The sample's windows, as stored.

        Raises:
            CacheError: what is stored cannot be read. From a worker of a ``DataLoader`` its message
                comes with the worker's traceback.
        """
        recording, start, stop = self.ranges[index]
        return self.cache.recording(recording).read(start, stop)


def _starts(length: int, steps: int) -> list[int]:
    """First windows of the samples of a recording."""
    starts = list(range(0, length - steps + 1, steps))
    if starts and length % steps:
        starts.append(length - steps)
    return starts
