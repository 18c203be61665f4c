"""Detections as files: a Prophesee `_bbox.npy` for each recording, and pictures of its windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dmanet.data.samplers import WindowRange
from dmanet.evaluation.evaluate import classes_of
from dmanet.evaluation.prophesee import box_records, write_boxes
from dmanet.evaluation.streaming import DetectedWindows, StreamSettings, stream_detections
from dmanet.reporting.frame_cells import cells_of
from dmanet.runs.records import Weights
from pipeline.cache.reader import PillarCache
from pipeline.files.whole import folder_written_whole
from pipeline.pictures.window import draw_window


@dataclass(frozen=True)
class PredictionSettings:
    """What is written.

    Attributes:
        score_threshold: what a score must exceed, 0…1.
        nms_iou: overlap above which the weaker of two boxes of a class is dropped.
        pictures: at most so many of each span of windows, evenly spread over it.
    """

    score_threshold: float = 0.3
    nms_iou: float = 0.5
    pictures: int = 8


@dataclass(frozen=True)
class Prediction:
    """What was written for one recording.

    Attributes:
        recording: its id.
        windows: that were detected in.
        boxes: that were found.
        box_file: the `_bbox.npy` file.
        pictures: in the order of the windows.
    """

    recording: str
    windows: int
    boxes: int
    box_file: Path
    pictures: tuple[Path, ...]


def predict(
    weights: Weights,
    cache: PillarCache,
    spans: Sequence[WindowRange],
    out: Path,
    stream: StreamSettings,
    settings: PredictionSettings = PredictionSettings(),
    on_windows: Callable[[int], None] = lambda count: None,
) -> list[Prediction]:
    """Detect in spans of windows and write boxes and pictures, whole or not at all.

    A recording ``split/filelist/name`` gets ``split/filelist/name_bbox.npy``: boxes in sensor pixels,
    classes by the release's numbers, each with the time its window begins (the release's labels are
    the first of each track in a window). Pictures are ``split/filelist/name/window_00012.png``.

    Args:
        weights: of the network.
        cache: where windows are read.
        spans: the windows to detect in, at most one span of each recording.
        out: the folder to make.
        stream: how recordings are run.
        settings: what is written.
        on_windows: called with the number of windows just finished.

    Returns:
        What was written, in the order of ``spans``.

    Raises:
        UsageError: ``out`` exists and is not an empty folder.
        CacheError: the cache's settings are not those of the network, or it lacks some of its classes.
    """
    classes = classes_of(weights, cache)
    chosen = {span.recording: _evenly(span, settings.pictures) for span in spans}
    boxes: dict[str, list[np.ndarray]] = {span.recording: [] for span in spans}
    with folder_written_whole(out) as unfinished:
        for windows in stream_detections(
            weights.build(),
            cache,
            spans,
            stream,
            classes=classes,
            score_threshold=settings.score_threshold,
            nms_iou=settings.nms_iou,
        ):
            boxes[windows.windows.recording] += _records(windows, cache, classes)
            _draw(windows, cache, classes, chosen[windows.windows.recording], unfinished)
            on_windows(len(windows.detections))
        for recording, records in boxes.items():
            write_boxes(unfinished / f"{recording}_bbox.npy", records)
    return [
        Prediction(
            span.recording,
            span.stop - span.start,
            sum(map(len, boxes[span.recording])),
            out / f"{span.recording}_bbox.npy",
            tuple(
                _picture(out, span.recording, window) for window in sorted(chosen[span.recording])
            ),
        )
        for span in spans
    ]


def _evenly(span: WindowRange, count: int) -> set[int]:
    """At most ``count`` windows of the span, from the middles of as many equal parts."""
    length = span.stop - span.start
    count = min(count, length)
    return {span.start + (2 * k + 1) * length // (2 * count) for k in range(count)}


def _picture(out: Path, recording: str, window: int) -> Path:
    return out / recording / f"window_{window:05d}.png"


def _records(
    windows: DetectedWindows, cache: PillarCache, classes: tuple[int, ...]
) -> list[np.ndarray]:
    """Boxes of each window as Prophesee records, classes by the release's numbers."""
    recording = cache.recording(windows.windows.recording)
    starts = recording.window_column("t_start")[windows.windows.start : windows.windows.stop]
    width, height = cache.settings.grid
    numbers = np.array(classes)
    return [
        box_records(
            replace(found, classes=numbers[found.classes]),
            int(t),
            (height, width),
            recording.sensor,
        )
        for found, t in zip(windows.detections, starts, strict=True)
    ]


def _draw(
    windows: DetectedWindows,
    cache: PillarCache,
    classes: tuple[int, ...],
    chosen: set[int],
    out: Path,
) -> None:
    recording = cache.recording(windows.windows.recording)
    class_names = [cache.settings.class_names[number] for number in classes]
    for k, labels in enumerate(windows.labels):
        window = windows.windows.start + k
        if window not in chosen:
            continue
        picture = draw_window(
            cells_of(windows, windows.frames[k], cache.settings.grid, recording.sensor),
            class_names,
            windows.detections[k],
            labels,
            caption=f"{recording.id} window {window}",
        )
        path = _picture(out, recording.id, window)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
