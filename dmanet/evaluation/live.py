"""Detection in windows that come one after the other, with memory: recordings outside a cache."""

from collections.abc import Iterable, Iterator

from dmanet.data.batches import collate
from dmanet.data.samplers import Sample, WindowRange
from dmanet.detection.found import Labels
from dmanet.device import place
from dmanet.evaluation.streaming import DetectedWindows, StreamSettings, detect_in_batch
from dmanet.models.detector import DMANet, State
from pipeline.cache.packed_windows import PackedWindows


def detect_live(
    model: DMANet,
    chunks: Iterable[PackedWindows],
    stream: StreamSettings,
    *,
    score_threshold: float,
    nms_iou: float = 0.5,
) -> Iterator[DetectedWindows]:
    """Detect in the windows of one recording, a chunk at a time.

    State is carried from each chunk to the next and reset at gaps: what
    :func:`dmanet.evaluation.streaming.stream_detections` finds in a cache of these windows, to the bit
    where the chunks are as long as its steps.

    Args:
        model: the network; it is put into evaluation mode and on the stream's device.
        chunks: consecutive windows.
        stream: device and precision are used.
        score_threshold: what a score must exceed, 0…1.
        nms_iou: overlap above which the weaker of two boxes of a class is dropped.

    Yields:
        The windows of each chunk, without labels.

    Raises:
        DataError: an output of the network is not a number.
    """
    place(model, stream.device).eval()
    state: State | None = None
    for windows in chunks:
        piece = WindowRange(windows.recording, windows.first, windows.first + len(windows))
        sample = Sample((piece,), (0,), continues=state is not None, counted=len(windows))
        batch = collate([windows], [sample]).to(stream.device)
        positive, negative, detections, state = detect_in_batch(
            model, batch, state, stream.precision, score_threshold, nms_iou
        )
        frames = tuple(range(len(windows)))
        labels = [Labels(windows.boxes, windows.classes) for _ in frames]
        yield DetectedWindows(piece, frames, positive, negative, detections, labels)
