"""Short training runs of DMANet with chosen parts of the release, measured step by step."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.released_formulation import (
    CLAMP_LOGIT,
    MemorySuspects,
    clamped_focal_loss,
    suspect,
)
from benchmarks.stress_data import STEPS, StressBatch, with_wrong_classes
from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.losses import LossSettings, detection_loss
from dmanet.detection.matching import IGNORED
from dmanet.models.adaptive_conv_lstm import ConvLSTM
from dmanet.models.detector import DMANet
from dmanet.settings import ModelSettings

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: A healthy network's gradients of this loss fit float16 at this scale; it may only fall.
FIRST_LOSS_SCALE = 128.0
WARMUP_STEPS = 10
MODULES = ("embed", "gates", "backbone", "short_memory", "pyramid", "heads")


@dataclass(frozen=True)
class StressRun:
    """One run. The defaults are ours on a stable recipe; each field may put one suspect back.

    Attributes:
        label: how tables and plots call it.
        similarity: the release's quotient instead of the bounded form.
        weighting: gradients pass from the weighted state into the embeddings (in both; False cuts
            them off).
        state: the ConvLSTM's state in the features' dtype instead of float32.
        focal: the focal loss of clamped probabilities instead of logits, without low-quality
            matches.
        precision: of convolutions and matrix products.
        scaler: with fp16 the loss is scaled, and a step whose gradient is no number is not taken.
        wrong_labels: share of boxes whose class is wrong.
        match_low_quality: each box also takes its best anchors.
        optimizer: adam adds weight decay to the gradient, adamw takes it past the adaptive step.
        learning_rate: after ten steps of warm-up.
        weight_decay: as the optimiser defines it.
        gradient_clip: largest norm of all gradients together.
        embedding_norm: the embeddings' last convolution is scaled until their median length is this
            before the first step; None leaves them.
        class_bias: bias of all logits before the first step; None is the prior's.
        steps: training steps.
        seed: of weights, order of batches and wrong labels.
    """

    label: str
    similarity: bool = False
    weighting: bool = True
    state: bool = False
    focal: bool = False
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    scaler: bool = True
    wrong_labels: float = 0.0
    match_low_quality: bool = False
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 2e-4
    weight_decay: float = 0.0
    gradient_clip: float = 0.1
    embedding_norm: float | None = None
    class_bias: float | None = None
    steps: int = 40
    seed: int = 0


@dataclass(frozen=True)
class StepMeasures:
    """One training step. Norms are of the gradient before clipping, with the loss scale taken out.

    ``missed`` is the share of the positive anchors' own logits below −9.21, ``dead`` of all logits
    beyond ±9.21; ``hidden`` and ``cell`` are the largest of the last state, ``quietest`` the
    shortest embedding that is not 0, ``scale`` the loss scale of this step, ``taken`` whether the
    gradient was a number.
    """

    loss: float
    gradient: float
    modules: dict[str, float]
    logit: float
    missed: float
    dead: float
    hidden: float
    cell: float
    quietest: float
    scale: float
    taken: bool


def stress_settings(cells: int, width: int) -> ModelSettings:
    """The network of all runs: every part of DMANet, three levels, few channels."""
    return ModelSettings(
        grid_size=(cells, cells),
        stem_width=width,
        feature_size=2 * width,
        head_convs=2,
        anchors=AnchorSettings(levels=(3, 4, 5), base_scale=2.0),
    )


def make_network(run: StressRun, settings: ModelSettings, batch: StressBatch) -> DMANet:
    """A fresh network with the run's suspects in place, on the batch's device."""
    torch.manual_seed(run.seed)
    model = DMANet(settings).train()
    suspects = MemorySuspects(run.similarity, run.state, run.weighting)
    assert model.long_memory is not None
    model.long_memory = nn.ModuleList(
        suspect(memory, suspects) for memory in model.long_memory if isinstance(memory, ConvLSTM)
    )
    placed: DMANet = model.to(batch.match.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if run.embedding_norm is not None:
        fade_embeddings(placed, batch, run.embedding_norm)
    if run.class_bias is not None:
        assert placed.class_head.output.bias is not None
        nn.init.constant_(placed.class_head.output.bias, run.class_bias)
    return placed


@torch.no_grad()
def fade_embeddings(model: DMANet, batch: StressBatch, norm: float) -> None:
    """Scale the embeddings' last convolutions until their median length on the batch is ``norm``."""
    lengths = embedding_lengths(model, batch)
    for memory, length in zip(memories(model), lengths, strict=True):
        for parameter in last_embedding_conv(memory).parameters():
            parameter.mul_(norm / length.median())


def memories(model: DMANet) -> list[ConvLSTM]:
    """The long memories, finest level first."""
    assert model.long_memory is not None
    return [memory for memory in model.long_memory if isinstance(memory, ConvLSTM)]


def last_embedding_conv(memory: ConvLSTM) -> nn.Conv2d:
    assert memory.embed is not None
    conv = memory.embed[-2]
    assert isinstance(conv, nn.Conv2d)
    return conv


@torch.no_grad()
def embedding_lengths(model: DMANet, batch: StressBatch) -> list[Tensor]:
    """Length of the embedding at every cell and frame, one flat tensor for each level."""
    found: list[Tensor] = []
    hooks = [_watch_lengths(memory, found) for memory in memories(model)]
    model(batch.positive, batch.negative, STEPS, len(batch.match) // STEPS)
    for hook in hooks:
        hook.remove()
    return found


def _watch_lengths(memory: ConvLSTM, found: list[Tensor]) -> Any:
    def note(_module: nn.Module, _inputs: Any, embedding: Tensor) -> None:
        found.append(embedding.detach().float().norm(dim=1).flatten())

    assert memory.embed is not None
    return memory.embed.register_forward_hook(note)


def train(
    run: StressRun, settings: ModelSettings, anchors: Tensor, batches: Sequence[StressBatch]
) -> tuple[DMANet, list[StepMeasures]]:
    """Train and measure, to the last step whatever has become of the network."""
    model = make_network(run, settings, batches[0])
    device = anchors.device
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[run.optimizer]
    optimizer = kind(model.parameters(), lr=run.learning_rate, weight_decay=run.weight_decay)
    loss_settings = LossSettings(match_low_quality=run.match_low_quality)
    scaler = torch.amp.GradScaler(
        device.type, init_scale=FIRST_LOSS_SCALE, enabled=run.precision == "fp16" and run.scaler
    )
    labels = [
        with_wrong_classes(batch.targets, run.wrong_labels, settings.num_classes, run.seed + k)
        for k, batch in enumerate(batches)
    ]
    generator = torch.Generator().manual_seed(run.seed)
    order: list[int] = []
    lengths: list[Tensor] = []
    for memory in memories(model):
        _watch_lengths(memory, lengths)
    measures: list[StepMeasures] = []
    for step in range(run.steps):
        if not order:
            order = torch.randperm(len(batches), generator=generator).tolist()
        place = order.pop()
        batch, targets = batches[place], labels[place]
        for group in optimizer.param_groups:
            group["lr"] = run.learning_rate * min(1.0, (step + 1) / WARMUP_STEPS)
        lengths.clear()
        with torch.autocast(device.type, DTYPES[run.precision], enabled=run.precision != "fp32"):
            output, state = model(batch.positive, batch.negative, STEPS, len(batch.match) // STEPS)
        terms = detection_loss(output.logits, output.deltas, anchors, targets, loss_settings)
        if run.focal:
            terms["classification"] = clamped_focal_loss(
                output.logits, batch.match, targets.classes, LossSettings()
            )
        loss = STEPS * (terms["classification"] + terms["regression"])
        optimizer.zero_grad()
        scale = scaler.get_scale()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        modules = gradient_by_module(model)
        norm = nn.utils.clip_grad_norm_(model.parameters(), run.gradient_clip).item()
        scaler.step(optimizer)
        scaler.update()
        logits = output.logits.detach().float()
        own = logits_of_targets(logits, batch.match, targets.classes)
        dead = (logits.abs() > CLAMP_LOGIT)[batch.match != IGNORED]
        alive = [length[length > 0].min().item() for length in lengths if (length > 0).any()]
        measures.append(
            StepMeasures(
                loss=loss.item(),
                gradient=norm,
                modules=modules,
                logit=logits.abs().max().item(),
                missed=(own < -CLAMP_LOGIT).float().mean().item() if len(own) else 0.0,
                dead=dead.float().mean().item(),
                hidden=max(level.hidden.abs().max().item() for level in state),
                cell=max(level.cell.abs().max().item() for level in state),
                quietest=min(alive, default=0.0),
                scale=scale,
                taken=math.isfinite(norm),
            )
        )
    return model, measures


def logits_of_targets(logits: Tensor, match: Tensor, classes: Tensor) -> Tensor:
    """The logit of the right class at every positive anchor: ``[P]``."""
    frame, anchor = (match >= 0).nonzero(as_tuple=True)
    return logits[frame, anchor, classes[match[frame, anchor]]]


def gradient_by_module(model: DMANet) -> dict[str, float]:
    """Norm of the gradient of each part of the network; inf or NaN where it holds one."""
    squares = dict.fromkeys(MODULES, 0.0)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            squares[_module_of(name)] += parameter.grad.double().square().sum().item()
    return {name: math.sqrt(square) for name, square in squares.items()}


def _module_of(name: str) -> str:
    part, *rest = name.split(".")
    if part == "long_memory":
        return "embed" if "embed" in rest else "gates"
    return {
        "pillar_net": "backbone",
        "temporal_branch": "pyramid",
        "class_head": "heads",
        "box_head": "heads",
    }.get(part, part)


def summary(run: StressRun, measures: Sequence[StepMeasures]) -> dict[str, Any]:
    """What a table tells of a run: plain values.

    ``lost`` steps are those whose gradient was no number; ``lost_at_end`` those of the last
    ten. ``end_loss`` is the median of the last ten losses.
    """
    tail = measures[-10:]
    return {
        "run": asdict(run),
        "steps": len(measures),
        "lost": sum(not m.taken for m in measures),
        "lost_at_end": sum(not m.taken for m in tail),
        "first_lost": next((k for k, m in enumerate(measures) if not m.taken), None),
        "end_loss": sorted(m.loss for m in tail)[len(tail) // 2],
        "end_scale": measures[-1].scale,
        "end_missed": sum(m.missed for m in tail) / len(tail),
        "largest_embed_gradient": max(
            (m.modules["embed"] for m in measures if math.isfinite(m.modules["embed"])), default=0.0
        ),
        "median_gradient": sorted(m.gradient for m in measures)[len(measures) // 2],
        "largest_cell": max(m.cell for m in measures),
        "largest_logit": max(m.logit for m in measures),
        "quietest": min((m.quietest for m in measures if m.quietest > 0), default=0.0),
        "trace": {
            "loss": [m.loss for m in measures],
            "embed_gradient": [m.modules["embed"] for m in measures],
            "missed": [m.missed for m in measures],
            "dead": [m.dead for m in measures],
            "scale": [m.scale for m in measures],
            "taken": [m.taken for m in measures],
            "quietest": [m.quietest for m in measures],
        },
    }
