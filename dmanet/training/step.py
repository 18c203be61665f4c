"""One training step, and everything it changes."""

import time

import torch
from torch import Tensor, nn

from dmanet.data.augmentation import augment
from dmanet.data.batches import PackedBatch
from dmanet.data.unpacking import decode_batch
from dmanet.detection.anchors import anchors_for
from dmanet.detection.losses import detection_loss
from dmanet.device import autocast, choose_precision, peak_memory_gb, place
from dmanet.models.detector import DMANet, LevelState, State
from dmanet.models.normalization import share_statistics
from dmanet.ranks import ALONE, Ranks
from dmanet.recipes import RunSettings, TrainingSettings
from dmanet.runs.checkpoint import Checkpoint, Weights
from dmanet.runs.log import StepReport
from dmanet.training.averaging import WeightAverage
from dmanet.training.guards import (
    LEAST_LOSS_SCALE,
    BadStep,
    KeptStatistics,
    Outcome,
    Tally,
    gradient_norms,
    is_finite,
    judge,
)
from dmanet.training.schedules import learning_rate_share


class Trainer:
    """Network, optimiser, loss scaler, carried state and their place in the run.

    Attributes:
        model: the network, in training mode.
        epoch: epochs finished.
        position: batches of the epoch after those, made or skipped.
        step: steps of the run, made or skipped.
        tally: their counts.
        average: of the weights; None without one.
        best_score: of an epoch so far.
        total_steps: steps of the whole run.
    """

    def __init__(
        self,
        settings: RunSettings,
        device: torch.device,
        steps_per_epoch: int,
        checkpoint: Checkpoint | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """A new run, its first weights from the seed, or the one of ``checkpoint``.

        With several ``ranks`` each makes the same steps, each on batches of its own. Statistics, loss
        and gradient are those of all batches together, and so weights, optimiser and what becomes of
        a step are the same everywhere.
        """
        recipe = settings.training
        self.ranks = ranks
        self.settings = settings
        self.device = device
        self.precision = choose_precision(recipe.precision, device)
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = steps_per_epoch * recipe.epochs
        recompute = recipe.activation_checkpointing
        if checkpoint is None:
            torch.manual_seed(recipe.seed)
            model = DMANet(settings.model, checkpoint_activations=recompute)
        else:
            model = checkpoint.trained_weights().build(checkpoint_activations=recompute)
        self.model = place(model, device).train()
        share_statistics(self.model, ranks)
        self.optimizer = make_optimizer(self.model, recipe)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "fp16")
        self.average = WeightAverage(self.model, recipe.ema_decay) if recipe.ema_decay else None
        self.anchors = anchors_for(settings.model.grid_size, settings.model.anchors, device)
        self.epoch = self.position = self.step = 0
        self.tally = Tally()
        self.best_score: float | None = None
        self._carried: State | None = None
        self._statistics = KeptStatistics(self.model)
        if checkpoint is not None:
            self._go_on_from(checkpoint)
        if recipe.compile:
            compile_parts(self.model)

    def make_step(self, batch: PackedBatch, data_s: float) -> StepReport:
        """One optimiser step on a batch that took ``data_s`` seconds to arrive.

        A step whose loss or gradient is not a number leaves weights, optimiser and running
        statistics as they were. The host waits for the device a fixed number of times: for sizes, and
        at the end to learn which step it was.
        """
        began = time.perf_counter()
        learning_rate = self._set_learning_rate()
        loss, terms, carried = self._forward(batch)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        parameters = list(self.model.parameters())
        self.ranks.all_reduce_gradients(parameters)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        scale = self.scaler.scale(torch.ones_like(loss))
        losses = self.ranks.all_reduce(torch.stack([loss.detach(), *terms.values()]))
        values = torch.cat([losses, torch.stack([norm, scale])]).tolist()  # the last wait
        loss_value, *term_values, norm_value, loss_scale = values
        named_terms = dict(zip(terms, term_values, strict=True))

        scaled = self.scaler.is_enabled()
        outcome = judge(loss_value, norm_value, loss_scale if scaled else None)
        clip = self.settings.training.gradient_clip
        clipped = outcome == "made" and norm_value > clip
        bad_step = None
        sound = outcome == "made" or not self.ranks.any(not is_finite(carried))
        self._carried = carried if sound else None
        if outcome == "made":
            nn.utils.clip_grads_with_norm_(parameters, clip, norm)
            self.optimizer.step()
            if self.ranks.any(not bool(batch.counted.all())):
                # Windows repeated at the end of a stream must not weigh in the running statistics.
                self._statistics.restore()
            if self.average is not None:
                self.average.update(self.model)
        else:
            self._statistics.restore()
            if outcome != "overflow":
                windows = [w for own in self.ranks.all_gather(windows_of(batch)) for w in own]
                bad_step = BadStep(outcome, named_terms, gradient_norms(self.model), tuple(windows))
        self._update_scale(outcome, loss_scale)
        self.tally.count(outcome, loss_value, clipped)
        step_s = time.perf_counter() - began
        report = StepReport(
            step=self.step,
            epoch=self.epoch,
            outcome=outcome,
            loss=loss_value,
            classification=named_terms["classification"],
            regression=named_terms["regression"],
            learning_rate=learning_rate,
            gradient_norm=norm_value,
            clipped=clipped,
            clip_rate=self.tally.clip_rate,
            loss_scale=loss_scale if scaled else None,
            bad_steps=self.tally.bad,
            overflows=self.tally.overflows,
            data_s=data_s,
            step_s=step_s,
            windows_per_s=self.ranks.world_size * batch.frames / (data_s + step_s),
            memory_gb=peak_memory_gb(self.device),
            bad_step=bad_step,
        )
        self.step += 1
        self.position += 1
        return report

    def end_epoch(self) -> None:
        """Go to the begin of the next epoch."""
        self.epoch += 1
        self.position = 0
        self.tally.begin_epoch()

    def weights(self, classes: tuple[int, ...]) -> Weights:
        """The network to judge, on the CPU: of averaged weights where there are any."""
        tensors = self.average.tensors() if self.average else self.model.state_dict()
        on_cpu = {name: tensor.cpu() for name, tensor in tensors.items()}
        return Weights(self.settings.model, on_cpu, classes, "this run's network")

    def checkpoint(
        self, fingerprint: str, recordings: dict[str, str], classes: tuple[int, ...]
    ) -> Checkpoint:
        """Where the run stands now; its tensors are those in use, to be written at once. All ranks
        call it.

        ``fingerprint``, ``recordings`` and ``classes``: what the run is trained on, see
        :class:`Checkpoint`.
        """
        return Checkpoint(
            settings=self.settings,
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler=self.scaler.state_dict(),
            average=self.average.state_dict() if self.average else None,
            carried=self._carried_by_all(),
            epoch=self.epoch,
            position=self.position,
            step=self.step,
            tally=self.tally,
            best_score=self.best_score,
            cache=fingerprint,
            recordings=recordings,
            classes=classes,
        )

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.scaler.load_state_dict(checkpoint.scaler)
        if self.average is not None and checkpoint.average is not None:
            self.average.load_state_dict(checkpoint.average)
        if checkpoint.carried is not None:
            batch = self.settings.training.batch_size
            own = slice(batch * self.ranks.rank, batch * (self.ranks.rank + 1))
            self._carried = tuple(
                LevelState(
                    *(t[own].to(self.device) for t in (level.hidden, level.cell, level.feature))
                )
                for level in checkpoint.carried
            )
        self.epoch, self.position = checkpoint.epoch, checkpoint.position
        self.step, self.tally = checkpoint.step, checkpoint.tally
        self.best_score = checkpoint.best_score

    def _carried_by_all(self) -> State | None:
        """The state of all ranks' slots, in the order of one process that had them all."""
        if self._carried is None or self.ranks.world_size == 1:
            return self._carried
        own = [
            (level.hidden.cpu(), level.cell.cpu(), level.feature.cpu()) for level in self._carried
        ]
        return tuple(
            LevelState(*(torch.cat(parts) for parts in zip(*of_ranks, strict=True)))
            for of_ranks in zip(*self.ranks.all_gather(own), strict=True)
        )

    def _set_learning_rate(self) -> float:
        recipe = self.settings.training
        learning_rate = recipe.learning_rate * learning_rate_share(
            self.step, self.steps_per_epoch, self.total_steps, recipe
        )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        return learning_rate

    def _forward(self, packed: PackedBatch) -> tuple[Tensor, dict[str, Tensor], State]:
        """This rank's part of the loss, that of the loss's terms, and the state to carry on."""
        # Slots that do not continue are reset in their first step; so the state of a batch in which
        # none does is not needed at all.
        state = self._carried if bool(packed.continues.any()) else None
        batch = packed.to(self.device)
        positive, negative, targets = augment(
            *decode_batch(batch),
            batch.targets,
            batch,
            self.settings.augmentation,
            self.settings.model.grid_size,
        )
        self._statistics.keep()
        with autocast(self.device, self.precision):
            output, carried = self.model(
                positive, negative, batch.steps, batch.sequences, state, batch.reset
            )
        frames_total: Tensor | None = None
        if self.ranks.world_size > 1:
            # Each rank's part of the mean over the frames of all, to be summed. Not a mean of means:
            # where streams have ended, ranks count unequally many frames.
            frames_total = self.ranks.all_reduce(batch.counted.sum()).clamp(min=1)
        terms = detection_loss(
            output.logits,
            output.deltas,
            self.anchors,
            targets,
            self.settings.loss,
            batch.counted,
            frames_total,
        )
        # The published loss is a sum over the steps of each step's mean over the images.
        terms = {name: batch.steps * term for name, term in terms.items()}
        loss = torch.stack(list(terms.values())).sum()
        return loss, {k: v.detach() for k, v in terms.items()}, tuple(map(_kept, carried))

    def _update_scale(self, outcome: Outcome, scale: float) -> None:
        """Lower the loss scale after an overflow; a bad step says nothing about it."""
        if not self.scaler.is_enabled():
            return
        if outcome in ("made", "overflow"):
            self.scaler.update()
        else:
            self.scaler.update(max(scale, LEAST_LOSS_SCALE))


def make_optimizer(model: nn.Module, recipe: TrainingSettings) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def compile_parts(model: DMANet) -> None:
    """Compile, in place, what runs once over all frames; the recurrence stays as it is."""
    blocks = [block for stage in model.backbone.stages for block in stage.children()]
    parts = [*blocks, model.pyramid, model.temporal_branch, model.class_head, model.box_head]
    for part in parts:
        if part is not None:
            part.compile()


def windows_of(batch: PackedBatch) -> tuple[str, ...]:
    """The ranges of windows of a batch, as in ``train/a/b 30…39``."""
    return tuple(
        f"{piece.recording} {piece.start}…{piece.stop - 1}"
        for sample in batch.samples
        for piece in sample.pieces
    )


def _kept(level: LevelState) -> LevelState:
    """A state cut from the graph, and from the batch whose last frames it would keep in memory."""
    cut = level.detach()
    return LevelState(cut.hidden.clone(), cut.cell.clone(), cut.feature.clone())
