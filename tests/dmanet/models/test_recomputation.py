"""Activation checkpointing changes what is kept, and nothing else."""

import pytest
import torch

from dmanet.models.detector import DMANet
from dmanet.settings import MODEL_PRESETS

SMALL = MODEL_PRESETS["tiny"].model_copy(
    update={"grid_size": (64, 96), "stem_width": 8, "feature_size": 32}
)


def train_once(model, pillars, recompute, *, precision=torch.float32):
    """Loss, gradients, statistics and kept elements of one training step."""
    model.checkpoint_activations = recompute
    model.zero_grad()
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            output, state = model(*pillars, 3, 2)
        loss = output.logits.float().square().mean() + output.deltas.float().square().mean()
        loss = loss + sum(level.hidden.square().sum() for level in state)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    return loss.detach(), gradients, {k: v.clone() for k, v in model.named_buffers()}, kept


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"long_memory": "plain", "short_memory": False},
        {"long_memory": "none"},
        {"long_memory": "hold"},
        {"pillar_batch_norm": "sample"},
        {"depth": 50},
    ],
)
def test_loss_gradients_and_statistics_are_the_same(random_pillars, changes):
    settings = SMALL.model_copy(update=changes)
    torch.manual_seed(0)
    models = [DMANet(settings).train() for _ in range(2)]
    for head in (models[0].class_head, models[0].box_head):  # they begin at 0 and teach nothing
        torch.nn.init.normal_(head.output.weight, std=0.05)
    models[1].load_state_dict(models[0].state_dict())
    pillars = [random_pillars([40, 10, 0, 5, 80, 3], settings, seed) for seed in (1, 2)]
    plain, other = (
        train_once(model, pillars, recompute)
        for model, recompute in zip(models, (False, True), strict=True)
    )
    torch.testing.assert_close(other[0], plain[0])
    for name, gradient in plain[1].items():
        scale = max(gradient.abs().max().item(), 1e-3)
        torch.testing.assert_close(other[1][name], gradient, atol=1e-5 * scale, rtol=1e-5)
    for name, buffer in plain[2].items():  # running statistics count the batch once
        assert torch.equal(other[2][name], buffer), name
    assert models[1].backbone.stem_norm.num_batches_tracked == 1


def test_what_autograd_keeps_within_the_parts_is_gone(random_pillars):
    torch.manual_seed(0)
    model = DMANet(SMALL).train()
    pillars = [random_pillars([200] * 6, SMALL, seed) for seed in (1, 2)]
    plain, other = (
        sum(train_once(model, pillars, recompute)[3].values()) for recompute in (False, True)
    )
    assert other < 0.35 * plain


def test_statistics_are_counted_again_after_a_step_that_recomputed(random_pillars):
    torch.manual_seed(0)
    model = DMANet(SMALL).train()
    pillars = [random_pillars([50] * 6, SMALL, seed) for seed in (1, 2)]
    for steps in (1, 2):
        train_once(model, pillars, True, precision=torch.bfloat16)
        assert model.backbone.stem_norm.num_batches_tracked == steps


@torch.no_grad()
def test_nothing_is_recomputed_without_gradients(random_pillars):
    torch.manual_seed(0)
    model = DMANet(SMALL).eval()
    pillars = [random_pillars([50] * 2, SMALL, seed) for seed in (1, 2)]
    expected, _ = model(*pillars, 2, 1)
    model.checkpoint_activations = True
    found, _ = model(*pillars, 2, 1)
    assert torch.equal(found.logits, expected.logits)
