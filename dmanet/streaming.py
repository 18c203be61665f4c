"""Detection over recordings as they would arrive: window after window, with memory.

State is carried over contiguous windows and both memories are reset where a recording begins and
at a time gap. (The release carries the long memory over everything and restarts the short one at
each shard.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from dmanet.data import BatchLoader, PackedBatch
from dmanet.decoding import decode_batch
from dmanet.detections import Detections, Labels, decode_detections
from dmanet.device import autocast, place
from dmanet.models.anchors import anchors_for
from dmanet.models.detector import DMANet, State
from dmanet.models.pillar_net import Pillars
from dmanet.samplers import Sample, WindowRange
from pipeline.cache import PillarCache

STATE_POLICY = "carried over contiguous windows, reset at recording starts and gaps"


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is run: ``steps`` windows at a time (no result depends on it beyond rounding), in
    ``precision`` (``fp32`` or ``bf16``), read ahead by ``workers`` processes.
    """

    device: torch.device
    precision: str
    steps: int = 10
    workers: int = 0


@dataclass(frozen=True)
class DetectedWindows:
    """Consecutive windows with their pillars (frame 0 is the first window), and for each window what
    was found and what is true.
    """

    windows: WindowRange
    positive: Pillars
    negative: Pillars
    detections: list[Detections]
    labels: list[Labels]


def stream_detections(
    model: DMANet,
    cache: PillarCache,
    spans: Sequence[WindowRange],
    stream: StreamSettings,
    *,
    score_threshold: float,
    nms_iou: float = 0.5,
    max_detections: int | None = None,
) -> Iterator[DetectedWindows]:
    """Detect in each span of windows from its first to its last, in order.

    A span starts with fresh state. The model is put into evaluation mode and on the stream's device.
    """
    place(model, stream.device).eval()
    grid_size = model.settings.grid_size
    anchors = anchors_for(grid_size, model.settings.anchors, stream.device)
    chunks = [[chunk] for span in spans for chunk in _chunks(span, stream.steps)]
    loader = BatchLoader(
        cache, chunks, workers=stream.workers, pin_memory=stream.device.type == "cuda"
    )
    state: State | None = None
    for packed in loader:
        ((windows,), _, continues, _) = packed.samples[0]
        if not continues:
            state = None
        with torch.inference_mode():
            batch = packed.to(stream.device)
            positive, negative = decode_batch(batch)
            with autocast(stream.device, stream.precision):
                output, state = model(positive, negative, batch.steps, 1, state, batch.reset)
            detections = decode_detections(
                output.logits,
                output.deltas,
                anchors,
                grid_size,
                score_threshold,
                nms_iou,
                max_detections,
            )
        yield DetectedWindows(windows, positive, negative, detections, _labels(packed))


def _labels(batch: PackedBatch) -> list[Labels]:
    targets = batch.targets
    rows = [targets.frame == frame for frame in range(batch.frames)]
    return [Labels(targets.boxes[r].numpy(), targets.classes[r].numpy()) for r in rows]


def _chunks(span: WindowRange, steps: int) -> list[Sample]:
    """The span in order, ``steps`` windows at a time; the last chunk may be shorter."""
    return [
        Sample(
            (WindowRange(span.recording, first, min(first + steps, span.stop)),),
            (0,),
            continues=first > span.start,
            counted=min(steps, span.stop - first),
        )
        for first in range(span.start, span.stop, steps)
    ]
