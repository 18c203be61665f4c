import copy

import pytest
import torch
from torch import nn

from dmanet.training.averaging import WeightAverage
from pipeline.errors import CheckpointError


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1)).double()


def step(model, seed):
    """Other weights and statistics, as after an optimiser step."""
    torch.manual_seed(seed)
    model(torch.randn(2, 2, 8, 8, dtype=torch.float64))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight))


def test_average_of_weights_that_stay_is_the_closed_form(network):
    """After n updates with the same weights w: w + (first − w) · the product of all decays."""
    average = WeightAverage(network, decay=0.4)
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    step(network, 1)
    remains = 1.0
    for n in range(8):
        average.update(network)
        remains *= min(0.4, (1 + n) / (10 + n))  # 0.1, 0.18, 0.25, 0.31, 0.36, 0.4, 0.4, 0.4
        for name, now in network.state_dict().items():
            expected = now + (first[name] - now) * remains if now.is_floating_point() else now
            torch.testing.assert_close(average.tensors()[name], expected, rtol=1e-12, atol=1e-12)


def test_average_weighs_every_step_of_a_run_as_the_decays_say(network):
    average, weights, decays = WeightAverage(network, 0.999), [], []
    weights.append(network[0].weight.detach().clone())
    for n in range(20):
        step(network, n)
        average.update(network)
        weights.append(network[0].weight.detach().clone())
        decays.append((1 + n) / (10 + n))
    share = [1.0] + [1 - d for d in decays]
    for n, decay in enumerate(decays):
        share[: n + 1] = [s * decay for s in share[: n + 1]]
    assert sum(share) == pytest.approx(1)
    expected = sum(s * w for s, w in zip(share, weights, strict=True))
    torch.testing.assert_close(average.tensors()["0.weight"], expected, rtol=1e-12, atol=1e-12)


def test_integers_are_copied_and_statistics_averaged(network):
    average = WeightAverage(network, 0.5)
    step(network, 1)
    step(network, 2)
    average.update(network)
    found = average.tensors()
    assert found["1.num_batches_tracked"] == 2
    torch.testing.assert_close(found["1.running_mean"], 0.9 * network[1].running_mean)


def test_the_average_is_a_state_of_the_network_and_apart_from_it(network):
    average = WeightAverage(network, 0.9)
    before = average.tensors()["0.weight"].clone()
    step(network, 1)
    assert torch.equal(average.tensors()["0.weight"], before)
    average.update(network)
    other = copy.deepcopy(network)
    other.load_state_dict(average.tensors())
    assert torch.equal(other[0].weight, average.tensors()["0.weight"])
    assert not torch.equal(other[0].weight, network[0].weight)


def test_continuing_from_a_saved_state_is_exact(network, tmp_path):
    average = WeightAverage(network, 0.99)
    for seed in range(3):
        step(network, seed)
        average.update(network)
    torch.save(average.state_dict(), tmp_path / "average.pt")
    resumed = WeightAverage(copy.deepcopy(network), 0.99)
    resumed.load_state_dict(torch.load(tmp_path / "average.pt", weights_only=True))
    for seed in range(3, 6):
        step(network, seed)
        average.update(network)
        resumed.update(network)
    assert resumed.updates == average.updates == 6
    for name, tensor in average.tensors().items():
        assert torch.equal(resumed.tensors()[name], tensor)


def test_the_state_of_another_network_is_refused_and_changes_nothing(network):
    average = WeightAverage(network, 0.9)
    before = average.tensors()["0.weight"].clone()
    other = WeightAverage(nn.Linear(2, 3), 0.9).state_dict()
    with pytest.raises(CheckpointError, match="another network"):
        average.load_state_dict(other)
    assert torch.equal(average.tensors()["0.weight"], before)
