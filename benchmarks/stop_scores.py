"""How well a network does on recordings as they are, and where their scenes come to rest.

A split is read twice: as it is, and with stops put in as :mod:`dmanet.data.stops` does for training. The
windows at rest are then scored alone too, all together and by how long they have rested.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dmanet.data.augmentation_settings import AugmentationSettings
from dmanet.data.fitting import recordings_of
from dmanet.data.loading import BatchLoader
from dmanet.data.samples import Sample, WindowRange
from dmanet.data.tapes import read_tape
from dmanet.detection.found import Detections, Labels
from dmanet.device import place
from dmanet.evaluation.details import Resampling
from dmanet.evaluation.evaluate import classes_of
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.protocols import protocol_of
from dmanet.evaluation.scoring import GridWindows, score_grid
from dmanet.evaluation.streaming import StreamSettings, detect_in_batch
from dmanet.models.detector import DMANet, State
from dmanet.runs.records import Weights
from pipeline.cache.reader import PillarCache

PROTOCOL = "release"
#: Windows that a scene has rested for, counted from 1; the last group has no end.
AGES = {"1–2": (1, 2), "3–5": (3, 5), "6–10": (6, 10), "11+": (11, 2**31)}
#: What is scored: recordings as they are; all windows of those with stops; those at rest; by age.
PARTS = ("moving", "all", "resting", *AGES)


@dataclass(frozen=True)
class Read:
    """A recording as it was read.

    Attributes:
        found: detections of each window.
        true: labels of each window.
        rests: int64 ``[W]``, 0 for windows that are shown, k for those at rest for the k-th time.
    """

    found: list[Detections]
    true: list[Labels]
    rests: np.ndarray


@dataclass(frozen=True)
class Score:
    """One part's mAP@0.5 by the protocol `release`.

    Attributes:
        map50: 0…1; None without labels.
        labels: that were scored.
        draws: the same of each draw of recordings; NaN for None.
    """

    map50: float | None
    labels: int
    draws: np.ndarray


def scores_of(
    weights: Weights,
    cache: PillarCache,
    split: str,
    stops: AugmentationSettings,
    stream: StreamSettings,
    resampling: Resampling,
) -> dict[str, Score]:
    """The score of each of the :data:`PARTS`.

    Args:
        weights: of the network.
        cache: where windows are read.
        split: whose recordings; where stops are in each follows from its place among them.
        stops: that are put in.
        stream: how recordings are run, one after the other.
        resampling: of the recordings.
    """
    model = place(weights.build(), stream.device).eval()
    classes = classes_of(weights, cache)
    ordinary, stopped = (
        [
            _run(model, cache, classes, settings, stream, WindowRange(one.id, 0, len(one)), place)
            for place, one in enumerate(recordings_of(cache, split))
        ]
        for settings in (AugmentationSettings(), stops)
    )
    chosen = {
        "moving": [(read, read.rests == 0) for read in ordinary],
        "all": [(read, read.rests >= 0) for read in stopped],
        "resting": [(read, read.rests > 0) for read in stopped],
    }
    for name, (least, most) in AGES.items():
        chosen[name] = [(read, (read.rests >= least) & (read.rests <= most)) for read in stopped]
    names = [cache.settings.class_names[number] for number in classes]
    return {part: _score(chosen[part], names, resampling) for part in PARTS}


def _run(
    model: DMANet,
    cache: PillarCache,
    classes: tuple[int, ...],
    stops: AugmentationSettings,
    stream: StreamSettings,
    windows: WindowRange,
    draw: int,
) -> Read:
    """What the network finds in a recording with ``stops``, and what is true."""
    protocol = protocol_of(PROTOCOL, [cache.settings.class_names[number] for number in classes])
    samples = read_tape([(windows, draw)], stream.steps, stops)
    loader = BatchLoader(
        cache, [[sample] for sample in samples], classes=classes, stop_noise=stops.stop_noise
    )
    found: list[Detections] = []
    true: list[Labels] = []
    rests: list[int] = []
    state: State | None = None
    for sample, batch in zip(samples, loader, strict=True):
        *_, detections, state = detect_in_batch(
            model,
            batch.to(stream.device),
            state,
            stream.precision,
            protocol.score_threshold,
            protocol.nms_iou,
            protocol.max_detections,
        )
        found += detections[: sample.counted]
        rests += list(_rests(sample))[: sample.counted]
        for frame in range(sample.counted):  # one slot: a frame is a step
            own = batch.targets.frame == frame
            true.append(
                Labels(batch.targets.boxes[own].numpy(), batch.targets.classes[own].numpy())
            )
    return Read(found, true, np.array(rests, np.int64))


def _rests(sample: Sample) -> Iterator[int]:
    """Of each window of a sample."""
    for piece, rest in zip(sample.pieces, sample.rest_of_pieces(), strict=True):
        yield from [rest] * (piece.stop - piece.start)


def _score(
    reads: Sequence[tuple[Read, np.ndarray]], names: Sequence[str], resampling: Resampling
) -> Score:
    """Of the chosen windows of each recording; all recordings are drawn, also those without any."""
    grids = []
    for number, (read, rows) in enumerate(reads):
        windows = np.flatnonzero(rows)
        grids.append(
            GridWindows(
                f"recording {number}",
                windows,
                (1.0, 1.0),
                [read.found[window] for window in windows],
                [read.true[window] for window in windows],
            )
        )
    result = score_grid(grids, names, protocol_of(PROTOCOL, names), Examination(resampling, 0))
    overall, details = result.rows[0], result.details
    draws: Sequence[float | None] = ()
    if details is not None and details.intervals is not None:
        draws = details.intervals.draws["all.map50"]
    return Score(overall.map50, overall.labels, np.array(draws, np.float64))
