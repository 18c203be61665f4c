"""The labels of a cache as boxes to exchange."""

from collections.abc import Sequence

import numpy as np

from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.cache.records import LABEL_COLUMNS, RAW_LABEL_COLUMNS
from pipeline.exchange.records import BOX_DTYPE, BoxSet, RecordingBoxes


def labels_of(cache: PillarCache, recordings: Sequence[CachedRecording]) -> BoxSet:
    """The boxes that the cache's label rules keep, in sensor pixels.

    A box inside the sensor is the release's own, to the bit; one that leaves it is cropped. Class
    numbers are the release's.

    Raises:
        CacheError: what is stored cannot be read.
    """
    return BoxSet(
        tuple(_labels(recording) for recording in recordings),
        cache.settings.class_names,
        scored=False,
    )


def _labels(recording: CachedRecording) -> RecordingBoxes:
    recording.check_tables()
    kept = recording.table("labels")
    rows = kept[:, LABEL_COLUMNS.index("raw_row")].astype(np.int64)
    column = dict(zip(RAW_LABEL_COLUMNS, recording.table("labels_raw")[rows].T, strict=True))
    width, height = recording.sensor
    boxes = np.zeros(len(rows), BOX_DTYPE)
    boxes["t"] = np.minimum(
        column["t"], 1 << 62
    )  # what tools write that know no time may be larger
    boxes["x"], boxes["w"] = _cropped(column["x"], column["w"], width)
    boxes["y"], boxes["h"] = _cropped(column["y"], column["h"], height)
    for name in ("class_id", "track_id", "class_confidence"):
        boxes[name] = column[name]
    return RecordingBoxes(
        recording.id,
        recording.sensor,
        np.arange(len(recording)),
        np.asarray(recording.window_column("t_start")),
        kept[:, LABEL_COLUMNS.index("batch_id")].astype(np.int64),
        boxes,
    )


def _cropped(first: np.ndarray, size: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Begin and size of boxes along one side, cropped to 0…limit as the label rules do it."""
    size = np.where(first < 0, first + size, size)
    first = np.maximum(first, 0)
    return first, np.where(first + size > limit, limit - first, size)
