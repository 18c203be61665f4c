"""How well anchors fit a cache's boxes, the release's and those that would fit better; from a sample."""

import zlib
from collections.abc import Sequence

import numpy as np

from pipeline.anchors.fit import POSITIVE_IOU, best_anchor_iou
from pipeline.anchors.settings import AnchorSettings
from pipeline.anchors.suggestion import suggest_anchors
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.statistics.schema import AnchorCounts, AnchorStatistics
from pipeline.statistics.summaries import tidy

SAMPLE_BOXES = 1 << 15  # of all classes together
SEARCH_BOXES = 1 << 11  # of them that a suggestion is searched on
SAMPLE_SEED = 0
SIZES = (0, 8, 16, 32, 64, 128)  # grid units; where each bin of sizes begins


class AnchorCollector:
    """Draws as many boxes of each class as of any other, whatever order recordings come in.

    Every box of a class has the same chance: each gets a random number by its recording's name and
    its row, and those of the smallest numbers stay.
    """

    def __init__(self, classes: Sequence[str], grid: tuple[int, int]) -> None:
        self._classes = tuple(classes)
        self._grid = grid
        self._most = max(1, SAMPLE_BOXES // max(1, len(classes)))
        self._boxes: list[list[np.ndarray]] = [[] for _ in classes]  # [n, 4] each
        self._numbers: list[list[np.ndarray]] = [[] for _ in classes]  # [n] each
        self._counts = np.zeros(len(classes), np.int64)

    def add(self, recording: CachedRecording) -> None:
        """Take in the kept boxes of one recording."""
        table = recording.table("labels")
        drawn = np.random.default_rng([SAMPLE_SEED, zlib.crc32(recording.id.encode())])
        numbers = drawn.random(len(table))
        for index in np.unique(table[:, 5]).astype(int).tolist():
            rows = table[:, 5] == index
            self._counts[index] += rows.sum()
            self._keep(index, [table[rows, 1:5]], [numbers[rows]])

    def merge(self, later: "AnchorCollector") -> None:
        """Add what was gathered from later recordings."""
        self._counts += later._counts
        for index in range(len(self._classes)):
            self._keep(index, later._boxes[index], later._numbers[index])

    def _keep(self, index: int, boxes: list[np.ndarray], numbers: list[np.ndarray]) -> None:
        self._boxes[index] += boxes
        self._numbers[index] += numbers
        # Sorting once in a while, not for every recording.
        if sum(map(len, self._numbers[index])) > 2 * self._most:
            few, drawn = self._sample(index)
            self._boxes[index], self._numbers[index] = [few], [drawn]

    def _sample(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The boxes that stay ``[n, 4]``, in the order of their numbers ``[n]``."""
        boxes = np.concatenate([np.zeros((0, 4)), *self._boxes[index]])
        numbers = np.concatenate([np.zeros(0), *self._numbers[index]])
        order = np.argsort(numbers, kind="stable")[: self._most]
        return boxes[order], numbers[order]

    def statistics(self) -> AnchorStatistics:
        """What all recordings gave."""
        boxes = [self._sample(index)[0] for index in range(len(self._classes))]
        released = AnchorSettings()
        suggested = self._suggest(boxes, released)
        bins = [np.digitize(_sizes(some), SIZES) - 1 for some in boxes]
        return AnchorStatistics(
            positive_iou=POSITIVE_IOU,
            size_edges=SIZES,
            kept=dict(zip(self._classes, self._counts.tolist(), strict=True)),
            sampled={
                name: tuple(np.bincount(some, minlength=len(SIZES)).tolist())
                for name, some in zip(self._classes, bins, strict=True)
            },
            sample_seed=SAMPLE_SEED,
            released=self._counted(boxes, bins, released),
            suggested=self._counted(boxes, bins, suggested),
        )

    def _suggest(self, boxes: Sequence[np.ndarray], start: AnchorSettings) -> AnchorSettings:
        """Half of the weight is shared evenly by all boxes, half by all classes that have some."""
        most = SEARCH_BOXES // max(1, sum(map(bool, map(len, boxes))))
        some = [part[: max(1, most)] for part in boxes]
        classes, total = sum(map(bool, map(len, some))), self._counts.sum()
        weights = [
            np.full(len(part), (count / total + 1 / classes) / 2 / len(part))
            for part, count in zip(some, self._counts, strict=True)
            if len(part)
        ]
        return suggest_anchors(
            np.concatenate([np.zeros((0, 4)), *some]),
            np.concatenate([np.zeros(0), *weights]),
            self._grid[::-1],
            start,
        )

    def _counted(
        self, boxes: Sequence[np.ndarray], bins: Sequence[np.ndarray], anchors: AnchorSettings
    ) -> AnchorCounts:
        overlaps = [best_anchor_iou(some, self._grid[::-1], anchors) for some in boxes]
        missed = [iou < POSITIVE_IOU for iou in overlaps]
        shares = [
            (miss.mean(), iou.mean())
            for miss, iou in zip(missed, overlaps, strict=True)
            if len(iou)
        ]
        weights = [count for count in self._counts if count]
        mean = np.average(shares, axis=0, weights=weights) if shares else (None, None)
        return AnchorCounts(
            **anchors.model_dump(),
            without_positive={
                name: tuple(np.bincount(some[miss], minlength=len(SIZES)).tolist())
                for name, some, miss in zip(self._classes, bins, missed, strict=True)
            },
            share_without_positive=None if mean[0] is None else tidy(mean[0]),
            mean_best_overlap=None if mean[1] is None else tidy(mean[1]),
        )


def collect_anchors(cache: PillarCache) -> AnchorStatistics:
    """The fit of anchors to the boxes of every split, and a suggestion; reads the labels alone.

    Raises:
        CacheError: a table cannot be read.
    """
    collector = AnchorCollector(cache.settings.output_names, cache.settings.grid)
    for key in cache.recording_ids:
        recording = CachedRecording(cache, key)  # its tables are freed after it
        recording.check_tables()
        collector.add(recording)
    return collector.statistics()


def _sizes(boxes: np.ndarray) -> np.ndarray:
    return np.sqrt(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1))
