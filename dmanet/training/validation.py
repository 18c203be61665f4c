"""Scoring a network in the middle of its training, without a trace in it."""

from collections.abc import Callable, Sequence

import torch

from dmanet.data.fitting import has_labels
from dmanet.evaluation.details import Resampling
from dmanet.evaluation.evaluate import evaluate, own_recordings
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.streaming import StreamSettings
from dmanet.ranks import Ranks
from dmanet.recipes import TrainingSettings
from dmanet.reporting.validation_pictures import WindowTaker
from dmanet.runs.records import Weights
from dmanet.training.validated import Validated
from pipeline.cache.reader import PillarCache

VALIDATION_SPLIT = "val"
_PROTOCOL = "release"
#: What `best.pt` follows where it can.
VALIDATION_SCORE = "mAP@0.5:0.95 on val, protocol release"


class Validation:
    """How the epochs of a run are scored.

    Attributes:
        score_of: what their score is, for people.
        has_score: whether there is one: no label in `train` and none in `val` leave nothing to judge by.
    """

    def __init__(
        self,
        cache: PillarCache,
        recipe: TrainingSettings,
        classes: Sequence[int],
        device: torch.device,
        precision: str,
        workers: int,
    ) -> None:
        """Choose the score; ``classes`` are the release's numbers of those that are learned."""
        self._cache, self._recipe, self._classes = cache, recipe, tuple(classes)
        self._taker: WindowTaker | None = None
        self._stream = StreamSettings(
            device, precision, steps=recipe.steps, batch=recipe.batch_size, workers=workers
        )
        self.score_of = VALIDATION_SCORE
        self.has_score = True
        if not recipe.validate_every:
            self.score_of = "minus the mean training loss, as training.validate_every is 0"
        elif not has_labels(cache, VALIDATION_SPLIT, classes):
            self.score_of = (
                "minus the mean training loss, as the cache has no labels of these classes in val"
            )
        if self.by_loss and not has_labels(cache, "train", classes):
            self.has_score = False
            self.score_of = "none, as the cache has no labels of these classes in train and val"

    @property
    def by_loss(self) -> bool:
        """Whether the score is the training loss, so that there is nothing to evaluate."""
        return self.score_of != VALIDATION_SCORE

    def is_due(self, epoch: int) -> bool:
        """Whether to evaluate at the end of this epoch (from 0): at each nth, and at the last."""
        if self.by_loss:
            return False
        last = epoch + 1 == self._recipe.epochs
        return last or (epoch + 1) % self._recipe.validate_every == 0

    def score(self, weights: Weights, on_windows: Callable[[int], None], ranks: Ranks) -> Validated:
        """mAP@0.5:0.95 of the split `val` by the protocol `release`, mean over classes with labels.

        ``weights`` are copied into a network of their own; the random state is left as it was.

        Args:
            weights: to score.
            on_windows: is called with the number of windows that this process has just finished.
            ranks: the processes that score together, all of which call this.
        """
        if self._taker is None:
            own = own_recordings(self._cache.recordings(VALIDATION_SPLIT), ranks)
            self._taker = WindowTaker(self._cache, own if ranks.is_main else (), self._classes)
        with torch.random.fork_rng(devices=[]):  # building a network draws weights, on the CPU
            result = evaluate(
                weights,
                self._cache,
                _PROTOCOL,
                VALIDATION_SPLIT,
                self._stream,
                on_windows,
                ranks,
                Examination(Resampling(count=0), worst=0, motion=False),
                self._taker.take,
            )
        (overall,) = [row for row in result.rows if row.name == "all"]
        operating_score = result.details.curves.operating_score if result.details else 0.0
        pictures = self._taker.draw(operating_score)
        return Validated(overall.map50_95, result, pictures)
