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
