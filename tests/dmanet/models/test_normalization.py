"""Batch normalisation with a single value."""

import pytest
import torch
from torch import nn

from dmanet.models.normalization import BatchNorm


def test_a_single_value_in_training_takes_the_running_statistics_and_leaves_them():
    norm = BatchNorm(3).train()
    norm.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    norm.running_var.copy_(torch.tensor([4.0, 1.0, 0.25]))
    out = norm(torch.tensor([[2.0, 2.0, 2.0]]).view(1, 3, 1, 1))
    torch.testing.assert_close(out.flatten(), torch.tensor([0.5, 0.0, -2.0]), atol=1e-4, rtol=0)
    assert norm.running_mean.tolist() == [1.0, 2.0, 3.0]
    assert norm.num_batches_tracked == 0
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.BatchNorm2d(3)(torch.ones(1, 3, 1, 1))


def test_more_values_are_normalised_as_ever():
    x = torch.randn(4, 3, 2, 5)
    ours, theirs = BatchNorm(3), nn.BatchNorm2d(3)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
