"""Scoring a network on a split of a cache, by a named protocol."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dmanet.data.fitting import check_fit, recordings_of
from dmanet.data.samplers import WindowRange
from dmanet.detection.found import Detections, Labels
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.motion import strata_of, with_strata
from dmanet.evaluation.prophesee import BOX_DTYPE, box_records
from dmanet.evaluation.protocols import ProtocolResult, protocol_of
from dmanet.evaluation.scoring import GridWindows, SensorWindows, score_grid, score_sensor
from dmanet.evaluation.streaming import (
    STATE_POLICY,
    DetectedWindows,
    StreamSettings,
    stream_detections,
)
from dmanet.ranks import ALONE, Ranks
from dmanet.runs.records import Weights
from pipeline.cache.motion import cached_motion
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.cache.records import LABEL_COLUMNS, RAW_LABEL_COLUMNS
from pipeline.release.labels import LabelRules, apply_label_rules
from pipeline.release.shards import LABEL_DTYPE


def evaluate(
    weights: Weights,
    cache: PillarCache,
    protocol_name: str,
    split: str,
    stream: StreamSettings,
    on_windows: Callable[[int], None] = lambda count: None,
    ranks: Ranks = ALONE,
    examination: Examination | None = None,
    on_found: Callable[[DetectedWindows], None] = lambda windows: None,
) -> ProtocolResult:
    """Score every window of a split.

    Only the network's classes are scored, whatever other boxes the cache holds.

    Args:
        weights: of the network.
        cache: where windows are read.
        protocol_name: one of :data:`dmanet.evaluation.protocols.PROTOCOLS`.
        split: ``train``, ``val`` or ``test``.
        stream: how recordings are run.
        on_windows: called with the number of windows just finished.
        ranks: of several processes each runs its own recordings, the first scores all, and all get
            the result.
        examination: what to examine beside the rows; None for nothing.
        on_found: called with the windows of this process as they are detected in.

    Raises:
        UsageError: the protocol is unknown, or the cache has no such split.
        CacheError: the cache's settings are not those of the network, or it lacks some of its classes.
        CheckpointError: the weights do not fit their own settings.
    """
    recordings = recordings_of(cache, split)
    classes = classes_of(weights, cache)
    class_names = [cache.settings.class_names[number] for number in classes]
    protocol = protocol_of(protocol_name, class_names, cache.settings.class_map)
    own = own_recordings(recordings, ranks)
    detections: dict[str, list[Detections]] = {recording.id: [] for recording in own}
    labels: dict[str, list[Labels]] = {recording.id: [] for recording in own}
    with ranks.barrier():
        for windows in stream_detections(
            weights.build(),
            cache,
            [WindowRange(recording.id, 0, len(recording)) for recording in own],
            stream,
            classes=classes,
            score_threshold=protocol.score_threshold,
            nms_iou=protocol.nms_iou,
            max_detections=protocol.max_detections,
        ):
            detections[windows.windows.recording] += windows.detections
            labels[windows.windows.recording] += windows.labels
            on_found(windows)
            on_windows(len(windows.detections))
    gathered = ranks.gather((detections, labels))
    result: ProtocolResult | None = None
    if ranks.is_main:
        found = {key: windows for detections, _ in gathered for key, windows in detections.items()}
        true = {key: windows for _, labels in gathered for key, windows in labels.items()}
        motion = examination is not None and examination.motion
        if protocol.boxes == "grid":
            grids = [_in_grid(r, found[r.id], true[r.id], weights) for r in recordings]
            if motion:
                grids = [
                    replace(grid, strata=grid_strata(recording, cache.settings.classes, classes))
                    for grid, recording in zip(grids, recordings, strict=True)
                ]
            result = score_grid(grids, class_names, protocol, examination)
        else:
            sensors = [_in_sensor(r, found[r.id], classes, weights, motion) for r in recordings]
            result = score_sensor(sensors, class_names, protocol, examination)
    return ranks.broadcast(result).with_conditions(
        split=split,
        recordings=len(recordings),
        sequence_length="whole recordings",
        state=STATE_POLICY,
        classes=class_names,
        precision=stream.precision,
        weights=weights.fingerprint(),
        cache=cache.attributes["fingerprint"][:16],
    )


def own_recordings(recordings: Sequence[CachedRecording], ranks: Ranks) -> list[CachedRecording]:
    """The recordings that this process runs, in their order.

    They are dealt out from the longest on, each to the rank that has the fewest windows so far.
    """
    windows = [0] * ranks.world_size
    own = set()
    for recording in sorted(recordings, key=len, reverse=True):
        rank = windows.index(min(windows))
        windows[rank] += len(recording)
        if rank == ranks.rank:
            own.add(recording.id)
    return [recording for recording in recordings if recording.id in own]


def classes_of(weights: Weights, cache: PillarCache) -> tuple[int, ...]:
    """The release's number of each of a network's classes, once it is sure to fit the cache.

    Weights that do not say which classes they know are taken to know the cache's, in its order.

    Raises:
        CacheError: the network does not take the cache's pillars, or the cache lacks its classes.
    """
    check_fit(cache, weights.settings, f"that of {weights.source}", weights.classes)
    if weights.classes is None:
        return cache.settings.classes
    return cache.settings.numbers_of(weights.classes)


def sensor_labels(
    recording: CachedRecording, classes: tuple[int, ...], strata: np.ndarray | None = None
) -> list[np.ndarray]:
    """Ground truth of each window of a recording: cropped to the sensor, of whatever size.

    Args:
        recording: whose labels are read.
        classes: the release's numbers of the classes to take.
        strata: bool ``[M, Q]`` of each row of ``labels_raw``, to stand beside.

    Returns:
        For each window ``BOX_DTYPE [m]`` in sensor pixels, with strata
        :data:`dmanet.evaluation.motion.STRATA_DTYPE`; ``class_id`` is the place in ``classes``.
    """
    raw = recording.table("labels_raw")
    records = np.zeros(len(raw), LABEL_DTYPE)
    for column, name in enumerate(RAW_LABEL_COLUMNS):
        if name in (LABEL_DTYPE.names or ()):
            records[name] = raw[:, column]
    rules = LabelRules(recording.sensor, recording.sensor, 0, 0, classes)
    kept = apply_label_rules(records, rules)
    boxes = np.zeros(len(kept.rows), BOX_DTYPE)
    boxes["t"] = records["t"][kept.rows]
    boxes["x"], boxes["y"] = kept.boxes[:, 0], kept.boxes[:, 1]
    boxes["w"], boxes["h"] = (kept.boxes[:, 2:] - kept.boxes[:, :2]).T
    boxes["class_id"] = kept.classes
    boxes["track_id"] = records["track_id"][kept.rows]
    boxes["class_confidence"] = 1
    if strata is not None:
        boxes = with_strata(boxes, strata[kept.rows])
    window = raw[kept.rows, RAW_LABEL_COLUMNS.index("batch_id")]
    edges = np.searchsorted(window, np.arange(len(recording) + 1))
    return [boxes[edges[k] : edges[k + 1]] for k in range(len(recording))]


def grid_strata(
    recording: CachedRecording, cached: tuple[int, ...], classes: tuple[int, ...]
) -> list[np.ndarray]:
    """The strata of motion of each window's labels, bool ``[m, Q]``, in the order of its labels.

    Args:
        recording: whose labels are meant.
        cached: the release's numbers of the cache's classes.
        classes: those of the classes to take.
    """
    labels = recording.table("labels")
    window, number, raw_row = (
        labels[:, LABEL_COLUMNS.index(name)].astype(np.int64)
        for name in ("batch_id", "class", "raw_row")
    )
    taken = np.isin(np.asarray(cached)[number], classes)
    strata = strata_of(cached_motion(recording))[raw_row[taken]]
    edges = np.searchsorted(window[taken], np.arange(len(recording) + 1))
    return [strata[edges[k] : edges[k + 1]] for k in range(len(recording))]


def _in_grid(
    recording: CachedRecording, found: list[Detections], true: list[Labels], weights: Weights
) -> GridWindows:
    (width, height), (rows, columns) = recording.sensor, weights.settings.grid_size
    times = recording.window_column("t_start")
    return GridWindows(recording.id, times, (width / columns, height / rows), found, true)


def _in_sensor(
    recording: CachedRecording,
    found: list[Detections],
    classes: tuple[int, ...],
    weights: Weights,
    with_motion: bool,
) -> SensorWindows:
    times = recording.window_column("t_start")
    records = [
        box_records(window, int(t), weights.settings.grid_size, recording.sensor)
        for window, t in zip(found, times, strict=True)
    ]
    strata = strata_of(cached_motion(recording)) if with_motion else None
    return SensorWindows(recording.id, times, records, sensor_labels(recording, classes, strata))
