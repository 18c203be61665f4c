"""Initial weights."""

import math

import pytest
import torch
from torch import nn

from dmanet.models.detector import DMANet
from dmanet.settings import MODEL_PRESETS


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return DMANet(MODEL_PRESETS["tiny"])


def test_convolutions_are_normal_with_the_variance_of_their_fan_out(model):
    checked = 0
    for name, part in model.named_modules():
        if not isinstance(part, nn.Conv2d) or name.endswith("head.output"):
            continue
        weight, (kh, kw) = part.weight.detach(), part.kernel_size
        expected = math.sqrt(2 / (kh * kw * part.out_channels))
        # A standard deviation estimated from n values is off by 1 / sqrt(2 n); allow 5 times that.
        assert weight.std().item() == pytest.approx(
            expected, rel=5 / math.sqrt(2 * weight.numel())
        ), name
        checked += 1
    assert checked > 50


def test_every_anchor_starts_at_the_prior_and_without_a_shift(model):
    features = [torch.randn(1, 64, 4, 4)]
    assert model.class_head(features).sigmoid().detach() == pytest.approx(0.01)
    assert not model.box_head(features).any()


def test_normalisation_starts_neutral(model):
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) > 20
    assert all((n.weight == 1).all() and not n.bias.any() for n in norms)


def tiny_with(**changes):
    torch.manual_seed(3)
    return DMANet(MODEL_PRESETS["tiny"].model_copy(update=changes))


def test_other_first_weights_leave_all_that_they_do_not_name_as_drawn(model):
    drawn = model.state_dict()
    begun = tiny_with(short_memory_init="zero", forget_bias=2.0, candidate_init="feature")
    changed = {n for n, t in begun.state_dict().items() if not torch.equal(t, drawn[n])}
    projections = {
        f"short_memory.{i}.project.{kind}" for i in range(3) for kind in ("weight", "bias")
    }
    gates = {f"long_memory.{i}.gates.{kind}" for i in range(3) for kind in ("weight", "bias")}
    assert changed == projections | gates


def test_a_forget_bias_is_added_to_the_forget_gates_alone(model):
    begun = tiny_with(forget_bias=2.0)
    for memory, as_drawn in zip(begun.long_memory, model.long_memory, strict=True):
        difference = (memory.gates.bias - as_drawn.gates.bias).detach().view(4, -1)
        torch.testing.assert_close(
            difference, torch.tensor([[0.0], [2.0], [0.0], [0.0]]).expand_as(difference)
        )
        assert torch.equal(memory.gates.weight, as_drawn.gates.weight)


def test_a_short_memory_that_begins_at_zero_passes_features_unchanged(model):
    for begun, changes in ((tiny_with(short_memory_init="zero"), False), (model, True)):
        for memory in begun.short_memory:
            frames = torch.randn(6, memory.theta.in_channels, 4, 4)
            assert torch.equal(memory(frames, 3, None, None), frames) is not changes


def test_a_candidate_that_begins_at_the_feature_takes_it_into_the_cell(model):
    for memory in tiny_with(candidate_init="feature", first_hidden="zero").long_memory:
        x = torch.randn(2, memory.channels, 5, 4)
        _, _, cell = memory(x, 1, None, None)
        into = nn.functional.conv2d(x, memory.gates.weight[: memory.channels, : memory.channels],
                                    memory.gates.bias[: memory.channels], padding=1)  # fmt: skip
        torch.testing.assert_close(cell, into.sigmoid() * x.tanh())
