"""Detection over recordings as they would arrive: window after window, with memory.

State is carried over contiguous windows and both memories are reset where a recording begins and
at a time gap. (The release carries the long memory over everything and restarts the short one at
each shard.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from dmanet.data.batches import PackedBatch
from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import Sample, WindowRange, read_tape
from dmanet.data.unpacking import decode_batch
from dmanet.detection.anchors import anchors_for
from dmanet.detection.found import Detections, Labels
from dmanet.detection.postprocessing import decode_detections
from dmanet.device import autocast, place
from dmanet.models.detector import DMANet, LevelState, State
from dmanet.models.pillar_net import Pillars
from pipeline.cache.reader import PillarCache

STATE_POLICY = "carried over contiguous windows, reset at recording starts and gaps"


@dataclass(frozen=True)
class StreamSettings:
    """How recordings are run.

    No result depends on ``steps`` or ``batch`` beyond rounding; memory grows with their product.

    Attributes:
        device: where the network runs.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        steps: windows of a recording at a time.
        workers: processes that read ahead; 0 reads in this one.
        batch: recordings side by side.
    """

    device: torch.device
    precision: str
    steps: int = 10
    workers: int = 0
    batch: int = 1


@dataclass(frozen=True)
class DetectedWindows:
    """Consecutive windows of one recording, and for each what was found and what is true.

    Attributes:
        windows: which they are.
        frames: which frame of the pillars each of them is.
        positive: pillars of all windows that ran together.
        negative: the same of the other polarity.
        detections: of each window, boxes in grid units.
        labels: of each window, boxes in grid units.
    """

    windows: WindowRange
    frames: tuple[int, ...]
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
    classes: tuple[int, ...] | None = None,
    score_threshold: float,
    nms_iou: float = 0.5,
    max_detections: int | None = None,
) -> Iterator[DetectedWindows]:
    """Detect in each span of windows from its first to its last, in order.

    A span starts with fresh state. One span's windows come in order; with a batch of one the spans
    do too, with a larger one they take turns. The model is put into evaluation mode and on the
    stream's device.

    Args:
        model: the network.
        cache: where windows are read.
        spans: the windows to detect in.
        stream: how they are run.
        classes: the release's numbers of the network's outputs, whose labels come along; None for
            all of the cache.
        score_threshold: what a score must exceed, 0…1.
        nms_iou: overlap above which the weaker of two boxes of a class is dropped.
        max_detections: at most so many of each class in a window; None for all.

    Yields:
        Windows that ran together and follow each other in one recording.

    Raises:
        CacheError: what is stored cannot be read.
        DataError: an output of the network is not a number.
    """
    place(model, stream.device).eval()
    loader = BatchLoader(
        cache,
        _batches(spans, stream.steps, stream.batch),
        classes=classes,
        workers=stream.workers,
        pin_memory=stream.device.type == "cuda",
    )
    state: State | None = None
    for packed in loader:
        if state is not None:
            state = tuple(_first_slots(level, packed.sequences) for level in state)
        batch = packed.to(stream.device)
        positive, negative, detections, state = detect_in_batch(
            model, batch, state, stream.precision, score_threshold, nms_iou, max_detections
        )
        labels = _labels(packed)
        for windows, frames in _counted_pieces(packed):
            yield DetectedWindows(
                windows,
                frames,
                positive,
                negative,
                [detections[frame] for frame in frames],
                [labels[frame] for frame in frames],
            )


@torch.inference_mode()
def detect_in_batch(
    model: DMANet,
    batch: PackedBatch,
    state: State | None,
    precision: str,
    score_threshold: float,
    nms_iou: float = 0.5,
    max_detections: int | None = None,
) -> tuple[Pillars, Pillars, list[Detections], State]:
    """What the network finds in a batch.

    Args:
        model: the network, in evaluation mode.
        batch: on the network's device.
        state: what the batch before left; None where all its sequences begin.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        score_threshold: what a score must exceed, 0…1.
        nms_iou: overlap above which the weaker of two boxes of a class is dropped.
        max_detections: at most so many of each class in a window; None for all.

    Returns:
        The batch's positive and negative pillars, the detections of each of its frames, and the
        state after it.

    Raises:
        DataError: an output of the network is not a number.
    """
    device, settings = batch.pillars.device, model.settings
    positive, negative = decode_batch(batch)
    with autocast(device, precision):
        output, state = model(positive, negative, batch.steps, batch.sequences, state, batch.reset)
    detections = decode_detections(
        output.logits,
        output.deltas,
        anchors_for(settings.grid_size, settings.anchors, device),
        settings.grid_size,
        score_threshold,
        nms_iou,
        max_detections,
    )
    return positive, negative, detections, state


def _batches(spans: Sequence[WindowRange], steps: int, batch: int) -> list[list[Sample]]:
    """The spans as at most ``batch`` tapes, read side by side.

    The longest tape is the first slot: those that have ended are always the last slots, and are
    left out. In the last batch no more windows run than its longest sample needs.
    """
    tapes = [read_tape([(span, 0) for span in tape], steps) for tape in _tapes(spans, batch)]
    batches = [
        [tape[i] for tape in tapes if i < len(tape)] for i in range(max(map(len, tapes), default=0))
    ]
    if batches:
        surplus = steps - max(sample.counted for sample in batches[-1])
        batches[-1] = [_shortened(sample, surplus) for sample in batches[-1]]
    return batches


def _tapes(spans: Sequence[WindowRange], count: int) -> list[list[WindowRange]]:
    """The spans on ``count`` tapes of similar length, longest tape first; none is empty.

    Spans are dealt out from the longest on, each to the tape that is shortest; on a tape they keep
    their order.
    """
    lengths = [span.stop - span.start for span in spans]
    tapes: list[list[int]] = [[] for _ in range(count)]
    totals = [0] * count
    for span in sorted(range(len(spans)), key=lambda i: -lengths[i]):
        shortest = totals.index(min(totals))
        tapes[shortest].append(span)
        totals[shortest] += lengths[span]
    longest_first = sorted(range(count), key=lambda i: -totals[i])
    return [[spans[i] for i in sorted(tapes[tape])] for tape in longest_first if tapes[tape]]


def _shortened(sample: Sample, surplus: int) -> Sample:
    """Without the last ``surplus`` windows, each of which is a repeated one and a piece of its own."""
    kept = len(sample.pieces) - surplus
    return sample._replace(
        pieces=sample.pieces[:kept], draws=sample.draws[:kept], rests=sample.rests[:kept]
    )


def _first_slots(state: LevelState, slots: int) -> LevelState:
    return LevelState(state.hidden[:slots], state.cell[:slots], state.feature[:slots])


def _counted_pieces(batch: PackedBatch) -> Iterator[tuple[WindowRange, tuple[int, ...]]]:
    """The pieces of all slots that count, each with its frames."""
    for slot, sample in enumerate(batch.samples):
        step = 0
        for piece in sample.pieces:
            if step < sample.counted:
                steps = range(step, step + piece.stop - piece.start)
                yield piece, tuple(t * batch.sequences + slot for t in steps)
                step = steps.stop


def _labels(batch: PackedBatch) -> list[Labels]:
    targets = batch.targets
    rows = [targets.frame == frame for frame in range(batch.frames)]
    return [Labels(targets.boxes[r].numpy(), targets.classes[r].numpy()) for r in rows]
