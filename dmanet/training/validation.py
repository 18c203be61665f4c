"""Scoring a network in the middle of its training, without a trace in it."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from dmanet.evaluation.evaluate import evaluate
from dmanet.evaluation.streaming import StreamSettings
from dmanet.ranks import Ranks
from dmanet.runs.checkpoint import Weights
from pipeline.cache.reader import PillarCache
from pipeline.cache.records import LABEL_COLUMNS

VALIDATION_SPLIT = "val"
_PROTOCOL = "release"


def has_labels(cache: PillarCache, classes: Sequence[int]) -> bool:
    """Whether the split `val` has a box of these classes of the release; else no score can be had."""
    column = LABEL_COLUMNS.index("class")
    wanted = [number for number, name in enumerate(cache.settings.classes) if name in classes]
    return any(
        np.isin(recording.table("labels")[:, column], wanted).any()
        for recording in cache.recordings(VALIDATION_SPLIT)
    )


def validation_score(
    weights: Weights,
    cache: PillarCache,
    stream: StreamSettings,
    on_windows: Callable[[int], None],
    ranks: Ranks,
) -> float | None:
    """mAP@0.5:0.95 of the split `val` by the protocol `release`, mean over the classes with labels.

    ``weights`` are copied into a network of their own; the random state is left as it was.
    ``on_windows`` is called with the number of windows that this process has just finished. None
    where no class that the network knows has a label.
    """
    with torch.random.fork_rng(devices=[]):  # building a network draws weights, on the CPU
        result = evaluate(weights, cache, _PROTOCOL, VALIDATION_SPLIT, stream, on_windows, ranks)
    (overall,) = [row for row in result.rows if row.name == "all"]
    return overall.map50_95
