"""The release's shape of work for one training step, with our network's weights: the baseline.

Time step after time step, on float32 batches padded on the host and moved one step at a time. Each
step runs the pillar net for every sample and polarity alone, scatters sample by sample, embeds both
frames for the similarity, runs the pyramid for each path, computes the anchors anew, and takes the
losses sample by sample on clamped probabilities. In evaluation mode the outputs are our network's.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmanet.data.batches import PackedBatch
from dmanet.data.unpacking import decode_batch
from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.boxes import box_iou
from dmanet.detection.losses import LossSettings
from dmanet.models.adaptive_conv_lstm import ConvLSTM
from dmanet.models.detector import DMANet
from dmanet.models.non_local import NonLocalAggregation
from dmanet.models.pillar_net import Pillars
from pipeline.anchors.shapes import anchor_shapes, cells_of_level

MOST_BOXES = 60  # rows of the padded annotations of a sample
CLAMP = 1e-4  # probabilities are kept this far from 0 and 1
NORM_OFFSET = 1e-6  # added to an embedding's norm

Memory = tuple[Tensor, Tensor, Tensor]  # hidden state, cell and previous feature, [B, C, h, w] each


@dataclass(frozen=True)
class Voxels:
    """One polarity of one time step, padded.

    ``points`` ``[B, P, S, 3]`` float32, ``counts`` ``[B, P]`` float32 (0 in padded rows), ``cells``
    ``[B, P, 2]`` (y, x) float32.
    """

    points: Tensor
    counts: Tensor
    cells: Tensor

    def to(self, device: torch.device) -> "Voxels":
        """The same on another device."""
        return Voxels(self.points.to(device), self.counts.to(device), self.cells.to(device))


@dataclass(frozen=True)
class HostStep:
    """One time step as the host hands it over; ``annotations`` ``[B, M, 5]``: box and class, or −1."""

    positive: Voxels
    negative: Voxels
    annotations: Tensor


def host_steps(batch: PackedBatch) -> list[HostStep]:
    """The padded time steps of a batch that is on the CPU."""
    positive, negative = decode_batch(batch)
    steps = []
    for t in range(batch.steps):
        frames = range(t * batch.sequences, (t + 1) * batch.sequences)
        annotations = []
        for frame in frames:
            own = batch.targets.frame == frame
            rows = torch.cat([batch.targets.boxes[own], batch.targets.classes[own, None]], dim=1)
            annotations.append(rows)
        steps.append(
            HostStep(
                _padded_voxels(positive, frames),
                _padded_voxels(negative, frames),
                _padded(annotations, -1.0, least=MOST_BOXES),
            )
        )
    return steps


def _padded_voxels(pillars: Pillars, frames: range) -> Voxels:
    own = [pillars.coords[:, 0] == frame for frame in frames]
    return Voxels(
        _padded([pillars.points[rows] for rows in own]),
        _padded([pillars.num_points[rows].float() for rows in own]),
        _padded([pillars.coords[rows, 2:].float() for rows in own]),
    )


def _padded(parts: list[Tensor], value: float = 0.0, least: int = 0) -> Tensor:
    length = max(least, *(len(part) for part in parts))
    out = parts[0].new_full((len(parts), length, *parts[0].shape[1:]), value)
    for row, part in zip(out, parts, strict=True):
        row[: len(part)] = part
    return out


class PerStepDetector(nn.Module):
    """A copy of ``model`` that works step by step. Needs both memories, as released."""

    def __init__(self, model: DMANet) -> None:
        super().__init__()
        self.network: DMANet = copy.deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def step_loss(
        self,
        step: HostStep,
        memories: list[Memory] | None,
        settings: LossSettings,
        device: torch.device,
    ) -> tuple[Tensor, list[Memory]]:
        """Move one step to the device: its loss, a mean over the samples, and the new memories."""
        positive, negative = step.positive.to(device), step.negative.to(device)
        annotations = step.annotations.to(device)
        logits, deltas, memories = self(positive, negative, memories)
        model = self.network.settings
        anchors = anchors_computed(model.grid_size, model.anchors, device)
        losses = [
            sample_loss(probability, delta, anchors, rows, settings)
            for probability, delta, rows in zip(
                logits.float().sigmoid(), deltas.float(), annotations, strict=True
            )
        ]
        return torch.stack(losses).mean(), memories

    def forward(
        self, positive: Voxels, negative: Voxels, memories: list[Memory] | None
    ) -> tuple[Tensor, Tensor, list[Memory]]:
        """One time step of B samples: logits ``[B, A, classes]``, deltas ``[B, A, 4]``, memories."""
        network = self.network
        assert network.short_memory is not None
        assert network.long_memory is not None
        assert network.temporal_branch is not None
        canvas = torch.cat([self._canvas(positive), self._canvas(negative)], dim=1)
        features = network.backbone(canvas)
        short, long, after = [], [], []
        for i, x in enumerate(features):
            memory = memories[i] if memories else None
            non_local, recurrent = network.short_memory[i], network.long_memory[i]
            assert isinstance(non_local, NonLocalAggregation)
            assert isinstance(recurrent, ConvLSTM)
            short.append(x if memory is None else _attend(non_local, x, memory[2]))
            hidden, cell = _remember(recurrent, x, memory)
            long.append(hidden)
            after.append((hidden, cell, x))
        pyramid = [
            a + b + c
            for a, b, c in zip(
                network.pyramid(short),
                network.pyramid(long),
                network.temporal_branch(long),
                strict=True,
            )
        ]
        return network.class_head(pyramid), network.box_head(pyramid), after

    def _canvas(self, voxels: Voxels) -> Tensor:
        """Sample after sample: ``[B, C, H, W]``."""
        net, (height, width) = self.network.pillar_net, self.network.settings.grid_size
        canvases = []
        for points, counts, cells in zip(voxels.points, voxels.counts, voxels.cells, strict=True):
            used = int((counts > 0).sum())
            points, counts, cells = points[:used], counts[:used], cells[:used].long()
            mean = points.sum(dim=1, keepdim=True) / counts[:, None, None]
            slot = torch.arange(points.shape[1], device=points.device)
            mask = (slot < counts[:, None])[..., None]
            inputs = (torch.cat([points, points - mean], dim=2) * mask).permute(2, 0, 1)[None]
            # Coordinates up to the grid's width do not fit a 16-bit float.
            with torch.autocast(points.device.type, enabled=False):
                hidden = net.norm(net.point_conv(inputs)).relu()  # [1, C, P, S]
                features = net.slot_conv(hidden[..., : net.slots_read])[0, :, :, 0]  # [C, P]
            canvas = features.new_zeros((len(features), height * width))
            canvas[:, cells[:, 0] * width + cells[:, 1]] = features
            canvases.append(canvas.view(-1, height, width))
        return torch.stack(canvases)


def _attend(module: NonLocalAggregation, current: Tensor, previous: Tensor) -> Tensor:
    """Attention with its whole matrix of weights."""
    theta = module.theta(current).flatten(2).transpose(1, 2)  # [B, hw, C/2]
    phi = module.pool(module.phi(previous)).flatten(2)  # [B, C/2, hw/4]
    g = module.pool(module.g(previous)).flatten(2).transpose(1, 2)
    weights = ((theta @ phi) / math.sqrt(theta.shape[2])).float().softmax(dim=2)
    attended = (weights.to(g.dtype) @ g).transpose(1, 2).unflatten(2, current.shape[2:])
    return current + module.project(attended)


def _remember(module: ConvLSTM, x: Tensor, memory: Memory | None) -> tuple[Tensor, Tensor]:
    """One step of the ConvLSTM, input and state through one convolution."""
    if memory is None:
        hidden, cell = x.float(), torch.zeros_like(x, dtype=torch.float32)
    else:
        hidden, cell, previous = memory
        if module.embed is not None:
            now, before = module.embed(x).float(), module.embed(previous).float()
            now = now / (now.norm(dim=1, keepdim=True) + NORM_OFFSET)
            before = before / (before.norm(dim=1, keepdim=True) + NORM_OFFSET)
            similarity = (now * before).sum(dim=1, keepdim=True)
            hidden, cell = hidden * similarity, cell * similarity
    gates = module.gates(torch.cat([x, hidden.to(x.dtype)], dim=1)).float()
    i, f, o, g = gates.chunk(4, dim=1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def anchors_computed(
    grid_size: tuple[int, int], settings: AnchorSettings, device: torch.device
) -> Tensor:
    """The anchors ``[A, 4]``, level by level on the host and moved to the device; nothing is kept."""
    levels = []
    for level in settings.levels:
        height, width = (cells_of_level(side, level) for side in grid_size)
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centre = (torch.stack([x, y], dim=2).double() + 0.5) * 2**level  # [h, w, 2]
        half = torch.from_numpy(anchor_shapes(settings, level)) / 2
        corners = [centre[:, :, None] - half, centre[:, :, None] + half]
        levels.append(torch.cat(corners, dim=3).view(-1, 4).float())
    return torch.cat(levels).to(device)


def sample_loss(
    probability: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    annotations: Tensor,
    settings: LossSettings,
) -> Tensor:
    """Classification and regression loss of one sample, as released: with a matrix of targets.

    ``probability`` ``[A, C]``, ``deltas`` ``[A, 4]``, ``annotations`` ``[M, 5]`` padded with −1.
    """
    rows = annotations[annotations[:, 4] >= 0]
    alpha, gamma = settings.focal_alpha, settings.focal_gamma
    p = probability.clamp(CLAMP, 1 - CLAMP)
    if not len(rows):
        return ((1 - alpha) * p**gamma * -torch.log(1 - p)).sum()
    overlap, box = box_iou(anchors, rows[:, :4]).max(dim=1)  # [A] each
    positive = overlap >= settings.positive_iou
    target = torch.full_like(p, -1)
    target[overlap < settings.negative_iou] = 0
    target[positive] = 0
    assigned = rows[box]  # [A, 5]
    target[positive, assigned[positive, 4].long()] = 1
    right = torch.where(target == 1, p, 1 - p)
    weight = torch.where(target == 1, alpha, 1 - alpha) * (1 - right) ** gamma
    losses = torch.where(target == -1, 0.0, weight * -right.log())
    classification = losses.sum() / positive.sum().clamp(min=1)
    if not positive.any():
        return classification
    anchor, truth = anchors[positive], assigned[positive, :4]
    size, sides = anchor[:, 2:] - anchor[:, :2], truth[:, 2:] - truth[:, :2]
    shift = truth[:, :2] + sides / 2 - anchor[:, :2] - size / 2
    goal = torch.cat([shift / size / 0.1, torch.log(sides.clamp(min=1) / size) / 0.2], dim=1)
    return classification + F.smooth_l1_loss(deltas[positive], goal, beta=settings.smooth_l1_beta)


class PerStepTraining:
    """The baseline's training step: both networks train with the same kind of optimiser."""

    def __init__(
        self,
        model: DMANet,
        settings: LossSettings,
        learning_rate: float,
        gradient_clip: float,
        device: torch.device,
    ) -> None:
        self.model = PerStepDetector(model).to(device).train()
        self.settings = settings
        self.device = device
        self.gradient_clip = gradient_clip
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=learning_rate)

    def train_step(self, steps: list[HostStep], autocast: torch.dtype | None) -> float:
        """One optimiser step on all time steps of a batch: the loss, summed over the steps."""
        total = torch.zeros((), device=self.device)
        memories: list[Memory] | None = None
        with torch.autocast(self.device.type, autocast, enabled=autocast is not None):
            for step in steps:
                loss, memories = self.model.step_loss(step, memories, self.settings, self.device)
                total = total + loss
        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.gradient_clip)
        self.optimizer.step()
        return total.item()
