"""One training step, and everything it changes."""

import time

import torch
from torch import Tensor, nn

from dmanet.data.batches import PackedBatch
from dmanet.detection.anchors import anchors_for
from dmanet.device import choose_precision, peak_memory_gb, place
from dmanet.models.detector import DMANet, State
from dmanet.models.normalization import share_statistics
from dmanet.ranks import ALONE, Ranks
from dmanet.recipes import RunSettings
from dmanet.regions import region
from dmanet.runs.log import StepReport
from dmanet.runs.outcomes import BadStep, Tally
from dmanet.runs.records import Weights
from dmanet.training.averaging import WeightAverage
from dmanet.training.compilation import compile_parts
from dmanet.training.forward import Losses, forward_and_loss
from dmanet.training.guards import (
    LEAST_LOSS_SCALE,
    KeptStatistics,
    Verdict,
    gradient_norms,
    is_finite,
    judge,
)
from dmanet.training.optimizer import make_optimizer, set_learning_rate
from dmanet.training.schedules import learning_rate_share


class Trainer:
    """Network, optimiser, loss scaler, carried state and their place in the run.

    Attributes:
        model: the network, in training mode.
        optimizer: over all its parameters.
        scaler: of float16's loss; does nothing in other precisions.
        average: of the weights; None without one.
        carried: state carried from the last batch to the next; None for none.
        epoch: epochs finished.
        position: batches of the epoch after those, made or skipped.
        step: steps of the run, made or skipped.
        tally: their counts.
        best_score: of an epoch so far.
        total_steps: steps of the whole run.
    """

    def __init__(
        self,
        settings: RunSettings,
        device: torch.device,
        steps_per_epoch: int,
        ranks: Ranks = ALONE,
    ) -> None:
        """Begin a run, its first weights drawn from the seed.

        With several ``ranks`` each makes the same steps, each on batches of its own. Statistics, loss
        and gradient are those of all batches together, and so weights, optimiser and what becomes of
        a step are the same everywhere.
        """
        recipe = settings.training
        self.ranks, self.settings, self.device = ranks, settings, device
        self.precision = choose_precision(recipe.precision, device)
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = steps_per_epoch * recipe.epochs
        torch.manual_seed(recipe.seed)
        model = DMANet(settings.model, checkpoint_activations=recipe.activation_checkpointing)
        self.model = place(model, device).train()
        share_statistics(self.model, ranks)
        if recipe.compile:
            compile_parts(self.model)
        self.optimizer = make_optimizer(self.model, recipe)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "fp16")
        self.average = WeightAverage(self.model, recipe.ema_decay) if recipe.ema_decay else None
        self.carried: State | None = None
        self.epoch = self.position = self.step = 0
        self.tally = Tally()
        self.best_score: float | None = None
        self._anchors = anchors_for(settings.model.grid_size, settings.model.anchors, device)
        self._parameters = list(self.model.parameters())
        self._statistics = KeptStatistics(self.model)

    def make_step(self, batch: PackedBatch, data_s: float) -> StepReport:
        """One optimiser step on a batch that took ``data_s`` seconds to arrive.

        A step whose loss or gradient is not a number leaves weights, optimiser and running
        statistics as they were. The host waits for the device a fixed number of times: for sizes, and
        at the verdict to learn which step it was.
        """
        began = time.perf_counter()
        learning_rate = self._set_learning_rate()
        losses, carried = self._forward(batch)
        gradient_norm = self._backward(losses)
        with region("optimiser"):
            verdict = self._judge(losses, gradient_norm)
            self._carry_on(carried, verdict)
            if verdict.outcome == "made":
                bad_step = None
                self._update(batch, gradient_norm)
            else:
                bad_step = self._undo(batch, verdict)
            self._update_loss_scale(verdict)
        report = self._record(verdict, bad_step, batch, learning_rate, data_s, began)
        self.step += 1
        self.position += 1
        return report

    def end_epoch(self) -> None:
        """Go to the begin of the next epoch."""
        self.epoch += 1
        self.position = 0
        self.tally.begin_epoch()

    def weights(self, classes: tuple[str, ...]) -> Weights:
        """The network to judge, on the CPU: of averaged weights where there are any."""
        tensors = self.average.tensors() if self.average else self.model.state_dict()
        on_cpu = {name: tensor.cpu() for name, tensor in tensors.items()}
        return Weights(self.settings.model, on_cpu, classes, "this run's network")

    def _set_learning_rate(self) -> float:
        recipe = self.settings.training
        learning_rate = recipe.learning_rate * learning_rate_share(
            self.step, self.steps_per_epoch, self.total_steps, recipe
        )
        set_learning_rate(self.optimizer, learning_rate)
        return learning_rate

    def _forward(self, batch: PackedBatch) -> tuple[Losses, State]:
        """This rank's losses, and the state to carry on; moves the running statistics."""
        self._statistics.keep()
        return forward_and_loss(
            self.model,
            batch,
            self.carried,
            self._anchors,
            self.settings,
            self.precision,
            self.ranks,
        )

    def _backward(self, losses: Losses) -> Tensor:
        """Leave the gradients of all ranks together in the parameters; returns their norm."""
        with region("backward"):
            self.optimizer.zero_grad()
            self.scaler.scale(losses.total).backward()
        with region("optimiser"):
            self.ranks.all_reduce_gradients(self._parameters)
            self.scaler.unscale_(self.optimizer)
            gradients = [p.grad for p in self._parameters if p.grad is not None]
            return nn.utils.get_total_norm(gradients)

    def _judge(self, losses: Losses, gradient_norm: Tensor) -> Verdict:
        """What becomes of the step, on all ranks alike: they judge the same numbers."""
        scale = self.scaler.scale(torch.ones_like(losses.total))
        of_all = self.ranks.all_reduce(torch.stack([losses.total.detach(), *losses.terms.values()]))
        values = torch.cat([of_all, torch.stack([gradient_norm, scale])])
        loss, *terms, norm, loss_scale = values.tolist()  # here the host waits
        used_scale = loss_scale if self.scaler.is_enabled() else None
        outcome = judge(loss, norm, used_scale)
        return Verdict(
            outcome=outcome,
            loss=loss,
            terms=dict(zip(losses.terms, terms, strict=True)),
            gradient_norm=norm,
            clipped=outcome == "made" and norm > self.settings.training.gradient_clip,
            loss_scale=used_scale,
        )

    def _carry_on(self, carried: State, verdict: Verdict) -> None:
        """Keep the state for the next batch; of a step that was skipped only if it is all numbers."""
        sound = verdict.outcome == "made" or not self.ranks.any(not is_finite(carried))
        self.carried = carried if sound else None

    def _update(self, batch: PackedBatch, gradient_norm: Tensor) -> None:
        """Change weights, running statistics and averages."""
        clip = self.settings.training.gradient_clip
        nn.utils.clip_grads_with_norm_(self._parameters, clip, gradient_norm)
        self.optimizer.step()
        if self.ranks.any(not bool(batch.counted.all())):
            # Windows repeated at the end of a stream must not weigh in the running statistics.
            self._statistics.restore()
        if self.average is not None:
            self.average.update(self.model)

    def _undo(self, batch: PackedBatch, verdict: Verdict) -> BadStep | None:
        """Leave no trace of the step; returns where numbers were lost, unless it is an overflow."""
        self._statistics.restore()
        if verdict.outcome == "overflow":
            return None
        windows = [w for own in self.ranks.all_gather(windows_of(batch)) for w in own]
        return BadStep(verdict.outcome, verdict.terms, gradient_norms(self.model), tuple(windows))

    def _update_loss_scale(self, verdict: Verdict) -> None:
        """Lower the loss scale after an overflow; a bad step says nothing about it."""
        if verdict.loss_scale is None:
            return
        if verdict.outcome in ("made", "overflow"):
            self.scaler.update()
        else:
            self.scaler.update(max(verdict.loss_scale, LEAST_LOSS_SCALE))

    def _record(
        self,
        verdict: Verdict,
        bad_step: BadStep | None,
        batch: PackedBatch,
        learning_rate: float,
        data_s: float,
        began: float,
    ) -> StepReport:
        """Count the step and say what became of it."""
        self.tally.count(verdict.outcome, verdict.loss, verdict.clipped)
        step_s = time.perf_counter() - began
        return StepReport(
            step=self.step,
            epoch=self.epoch,
            outcome=verdict.outcome,
            loss=verdict.loss,
            classification=verdict.terms["classification"],
            regression=verdict.terms["regression"],
            learning_rate=learning_rate,
            gradient_norm=verdict.gradient_norm,
            clipped=verdict.clipped,
            clip_rate=self.tally.clip_rate,
            loss_scale=verdict.loss_scale,
            bad_steps=self.tally.bad,
            overflows=self.tally.overflows,
            data_s=data_s,
            step_s=step_s,
            windows_per_s=self.ranks.world_size * batch.frames / (data_s + step_s),
            memory_gb=peak_memory_gb(self.device),
            bad_step=bad_step,
        )


def windows_of(batch: PackedBatch) -> tuple[str, ...]:
    """The ranges of windows of a batch, as in ``train/a/b 30…39``."""
    return tuple(
        f"{piece.recording} {piece.start}…{piece.stop - 1}"
        for sample in batch.samples
        for piece in sample.pieces
    )
