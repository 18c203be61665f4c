"""Numbers about single formulas and about state over hundreds of steps: no luck, no training."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from benchmarks.released_formulation import (
    MemorySuspects,
    SuspectConvLSTM,
    clamped_focal_loss,
    released_unit_embedding,
)
from benchmarks.stress_data import STEPS, StressBatch
from benchmarks.stress_runs import DTYPES, memories, stress_settings
from dmanet.detection.losses import LossSettings, Targets, detection_loss
from dmanet.detection.matching import BACKGROUND
from dmanet.models.adaptive_conv_lstm import unit_embedding
from dmanet.models.detector import DMANet, State

NORMS = [10.0 ** (k / 2) for k in range(-16, 3)]
LOGITS = [k / 2 for k in range(-36, 37)]


def similarity_gradients(norms: Sequence[float] = NORMS) -> dict[str, list[float | None]]:
    """Largest gradient of the cosine similarity by an embedding of each length.

    Random embeddings at 64 cells, a gradient of 1 on every similarity; None where it is no number.
    Keys are formulation and dtype, as in ``released fp16``.
    """
    return {
        f"{name} {precision}": [_largest_gradient(unit, norm, dtype) for norm in norms]
        for name, unit in _units().items()
        for precision, dtype in DTYPES.items()
    }


def one_quiet_cell(norm: float = 3e-6) -> dict[str, bool]:
    """Whether the gradient of the layer below stays a number when one of 1024 cells is quiet.

    Embeddings of length 1, one of length ``norm``, out of a 1x1 convolution whose weights get the
    gradient of the cosine similarities. Keys as in :func:`similarity_gradients`.
    """
    finite = {}
    for name, unit in _units().items():
        for precision, dtype in DTYPES.items():
            generator = torch.Generator().manual_seed(0)
            x = torch.rand(2, 16, 32, 32, generator=generator) + 0.1
            x = x / x.norm(dim=1, keepdim=True)
            x[:, :, 16, 16] *= norm
            weight = torch.eye(16)[:, :, None, None].to(dtype).requires_grad_()
            current, previous = unit(conv2d(x.to(dtype), weight))
            (current * previous).sum(dim=0).mean().backward()
            assert weight.grad is not None
            finite[f"{name} {precision}"] = bool(weight.grad.isfinite().all())
    return finite


def _units() -> dict[str, Callable[[Tensor], Tensor]]:
    eps = stress_settings(64, 8).similarity_eps
    return {"released": released_unit_embedding, "ours": lambda e: unit_embedding(e, eps)}


def _largest_gradient(
    unit: Callable[[Tensor], Tensor], norm: float, dtype: torch.dtype
) -> float | None:
    generator = torch.Generator().manual_seed(0)
    e = torch.randn(2, 16, 8, 8, generator=generator).abs()
    e = (e / e.norm(dim=1, keepdim=True) * norm).to(dtype).requires_grad_()
    current, previous = unit(e)
    (current * previous).sum(dim=0).sum().backward()
    assert e.grad is not None
    lengths = e.grad.float().norm(dim=1)
    return lengths.max().item() if lengths.isfinite().all() else None


def focal_gradients(logits: Sequence[float] = LOGITS) -> dict[str, list[float]]:
    """Gradient of the classification loss of one background anchor by its logit."""
    settings = LossSettings()
    nothing = Targets(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long())
    # One anchor a frame: the mean over frames is undone, so that each row is an anchor alone.
    theirs, ours = (torch.tensor(logits).view(-1, 1, 1).requires_grad_() for _ in range(2))
    match = torch.full((len(logits), 1), BACKGROUND)
    clamped_focal_loss(theirs, match, nothing.classes, settings).backward()
    anchor = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    detection_loss(ours, torch.zeros(len(logits), 1, 4), anchor, nothing, settings)[
        "classification"
    ].backward()
    return {
        name: (len(logits) * z.grad.flatten()).tolist()
        for name, z in (("clamped", theirs), ("ours", ours))
        if z.grad is not None
    }


@torch.no_grad()
def cell_over_steps(
    model: DMANet, batches: Sequence[StressBatch], passes: int
) -> dict[str, list[float]]:
    """Largest ``|cell|`` after each ten windows, state carried over all batches ``passes`` times.

    ``carried``: float32, never reset, as the release validates; ``carried fp16``: the same with the
    network and its state in float16; ``reset``: begins anew with each batch. Training batches are
    single shards, so a reset each ten windows is more often than ours (recording starts and gaps).
    """
    device = batches[0].match.device
    series: dict[str, list[float]] = {}
    for name, precision, keep in (
        ("carried", "fp32", True),
        ("carried fp16", "fp16", True),
        ("reset", "fp32", False),
    ):
        for memory in memories(model):
            assert isinstance(memory, SuspectConvLSTM)
            memory.suspects = MemorySuspects(similarity=False, state=precision == "fp16")
        state: State | None = None
        series[name] = []
        for batch in [*batches] * passes:
            with torch.autocast(device.type, DTYPES[precision], enabled=precision != "fp32"):
                _, state = model(
                    batch.positive,
                    batch.negative,
                    STEPS,
                    len(batch.match) // STEPS,
                    state if keep else None,
                )
            assert state is not None
            series[name].append(max(level.cell.abs().max().item() for level in state))
    return series


def all_probes(
    model: DMANet, batches: Sequence[StressBatch], passes: int
) -> dict[str, dict[str, Any]]:
    """Every probe; ``model`` is one that has trained a little."""
    return {
        "similarity": {"norms": NORMS, **similarity_gradients()},
        "one_quiet_cell": one_quiet_cell(),
        "focal": {"logits": LOGITS, **focal_gradients()},
        "cell": cell_over_steps(model, batches, passes),
    }
