"""Batch normalisation with a single value, and over the batches of several processes."""

import pytest
import torch
from torch import nn

from dmanet.models.normalization import BatchNorm, share_statistics
from tests.dmanet.ranks import on_ranks


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


def normalised(ranks, parts, gradients):
    """One rank's output, gradients and running statistics after two batches."""
    norm = lively(BatchNorm(3))
    share_statistics(norm, ranks)
    x = parts[ranks.rank].clone().requires_grad_()
    norm(x.detach() * 2 + 1)
    y = norm(x)
    y.backward(gradients[ranks.rank])
    return (
        y.detach(),
        x.grad,
        norm.weight.grad,
        norm.bias.grad,
        norm.running_mean,
        norm.running_var,
        norm.num_batches_tracked,
    )


def lively(norm):
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 1.0, -2.0]))
        norm.bias.copy_(torch.tensor([0.1, 0.0, 3.0]))
    return norm


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_ranks_normalise_and_learn_as_one_process_with_all_their_values(dtype, tolerance):
    """Also where the mean is far from 0, and the ranks have neither as many values nor alike ones."""
    generator = torch.Generator().manual_seed(0)
    shape = (5, 3, 4, 6)
    offset = torch.tensor([0.0, 30.0, -5.0]).view(1, 3, 1, 1)
    x = (torch.randn(shape, generator=generator) + offset).to(dtype)
    x[3:] += 2
    x = x.contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(shape, generator=generator).to(dtype)
    found = on_ranks(normalised, x.split([3, 2]), gradient.split([3, 2]))
    expected = normalised_by_torch(x.float(), gradient.float())
    for i in (0, 1):  # outputs, and their inputs' gradients
        torch.testing.assert_close(
            torch.cat([rank[i] for rank in found]).float(), expected[i], rtol=0, atol=3 * tolerance
        )
    for i in (2, 3):
        torch.testing.assert_close(
            found[0][i] + found[1][i], expected[i], rtol=tolerance, atol=30 * tolerance
        )
    for rank in found:
        for statistic, wanted in zip(rank[4:], expected[4:], strict=True):
            torch.testing.assert_close(statistic, wanted, rtol=max(tolerance / 3, 1e-6), atol=1e-5)
    for ours, theirs in zip(found[0][4:], found[1][4:], strict=True):
        assert torch.equal(ours, theirs)


def normalised_by_torch(x, gradient):
    norm = lively(nn.BatchNorm2d(3))
    x = x.clone().requires_grad_()
    norm(x.detach() * 2 + 1)
    y = norm(x)
    y.backward(gradient)
    return (
        y.detach(),
        x.grad,
        norm.weight.grad,
        norm.bias.grad,
        norm.running_mean,
        norm.running_var,
        norm.num_batches_tracked,
    )
