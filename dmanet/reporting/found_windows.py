"""What a network finds, window after window, from a cache or straight from a recording."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dmanet.data.samplers import WindowRange
from dmanet.detection.found import Detections
from dmanet.evaluation.evaluate import classes_of
from dmanet.evaluation.live import detect_live
from dmanet.evaluation.prophesee import box_records
from dmanet.evaluation.streaming import DetectedWindows, StreamSettings, stream_detections
from dmanet.reporting.frame_cells import cells_of
from dmanet.runs.records import Weights
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.pictures.cells import WindowCells
from pipeline.voxelizing.live import LiveWindows


@dataclass(frozen=True)
class Threshold:
    """Which boxes are found.

    Attributes:
        score: what a score must exceed, 0…1.
        nms_iou: overlap above which the weaker of two boxes of a class is dropped.
    """

    score: float = 0.3
    nms_iou: float = 0.5


@dataclass(frozen=True)
class FoundWindow:
    """One window and what was found in it.

    Attributes:
        recording: its id or name.
        number: of the window in the recording.
        t_us: when it begins, µs.
        events: that it has inside the sensor.
        detections: in grid units, classes by the network's outputs.
        boxes: the same as ``BOX_DTYPE [n]``, sensor pixels, classes by the data set's numbers.
        grid: columns and rows.
        sensor: width and height in pixels.
    """

    recording: str
    number: int
    t_us: int
    events: int
    detections: Detections
    boxes: np.ndarray
    grid: tuple[int, int]
    sensor: tuple[int, int]
    _windows: DetectedWindows
    _frame: int

    def cells(self) -> WindowCells:
        """The cells that have events."""
        return cells_of(self._windows, self._frame, self.grid, self.sensor)


def found_in_cache(
    weights: Weights,
    cache: PillarCache,
    spans: Sequence[WindowRange],
    stream: StreamSettings,
    threshold: Threshold = Threshold(),
) -> Iterator[FoundWindow]:
    """Detect in spans of a cache's windows; see :func:`stream_detections`.

    Raises:
        CacheError: the cache does not fit the network, or cannot be read.
        DataError: an output of the network is not a number.
    """
    classes = classes_of(weights, cache)
    for windows in stream_detections(
        weights.build(),
        cache,
        spans,
        stream,
        classes=classes,
        score_threshold=threshold.score,
        nms_iou=threshold.nms_iou,
    ):
        recording = cache.recording(windows.windows.recording)
        rows = slice(windows.windows.start, windows.windows.stop)
        times = recording.window_column("t_start")[rows]
        events = recording.window_column("events_in_range")[rows]
        yield from _windows(windows, times, events, cache.settings.grid, recording.sensor, classes)


def found_in_recording(
    weights: Weights,
    chunks: Iterator[LiveWindows],
    encoding: CacheSettings,
    stream: StreamSettings,
    threshold: Threshold = Threshold(),
) -> Iterator[FoundWindow]:
    """Detect in the windows of a raw recording; see :func:`detect_live`.

    Raises:
        RecordingError: the recording cannot be read.
        DataError: an output of the network is not a number.
    """
    names = weights.classes or encoding.output_names
    classes = encoding.numbers_of(names)
    pending: list[LiveWindows] = []

    def packed() -> Iterator:
        for chunk in chunks:
            pending.append(chunk)
            yield chunk.windows

    for windows in detect_live(
        weights.build(),
        packed(),
        stream,
        score_threshold=threshold.score,
        nms_iou=threshold.nms_iou,
    ):
        chunk = pending.pop()
        sensor = chunk.windows.encoding.sensor
        yield from _windows(
            windows, chunk.windows.t_start, chunk.events, encoding.grid, sensor, classes
        )


def _windows(
    windows: DetectedWindows,
    times: np.ndarray,
    events: np.ndarray,
    grid: tuple[int, int],
    sensor: tuple[int, int],
    classes: tuple[int, ...],
) -> Iterator[FoundWindow]:
    numbers = np.array(classes)
    width, height = grid
    for k, (frame, found) in enumerate(zip(windows.frames, windows.detections, strict=True)):
        released = replace(found, classes=numbers[found.classes])
        yield FoundWindow(
            windows.windows.recording,
            windows.windows.start + k,
            int(times[k]),
            int(events[k]),
            found,
            box_records(released, int(times[k]), (height, width), sensor),
            grid,
            sensor,
            windows,
            frame,
        )
