"""The baseline of the training step computes what our network computes."""

import pytest
import torch

from benchmarks.per_step_formulation import (
    PerStepDetector,
    PerStepTraining,
    anchors_computed,
    host_steps,
)
from dmanet.data.batches import collate
from dmanet.data.unpacking import decode_batch
from dmanet.detection.anchors import anchors_for
from dmanet.detection.losses import LossSettings, detection_loss
from dmanet.models.detector import DMANet
from tests.dmanet.caches import LONG, make_cache, small_run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    recording = make_cache(tmp_path_factory.mktemp("cache")).recording(LONG)
    # Without the window that a gap precedes: the release knows no resets within a sample.
    return collate([recording.read(0, 4), recording.read(5, 9)])


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = DMANet(small_run().model).eval()
    for name, tensor in model.state_dict().items():
        if name.endswith("output.weight"):
            tensor.normal_(0, 0.01)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5).mul_(1e3 if name.startswith("pillar_net") else 1)
    return model


@torch.no_grad()
def test_outputs_and_losses_are_our_networks(batch, model):
    output, _ = model(*decode_batch(batch), batch.steps, batch.sequences)
    baseline = PerStepDetector(model).eval()
    memories, logits, deltas, total = None, [], [], 0.0
    for step in host_steps(batch):
        one, two, after = baseline(step.positive, step.negative, memories)
        loss, memories = baseline.step_loss(step, memories, LossSettings(), CPU)
        for mine, other in zip(after, memories, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
        logits.append(one)
        deltas.append(two)
        total += loss.item()
    torch.testing.assert_close(torch.cat(logits), output.logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cat(deltas), output.deltas, atol=1e-4, rtol=0)
    assert output.logits.std() > 0.1  # there was something to agree on
    assert output.logits.abs().max() < 9  # where the clamp changes nothing
    anchors = anchors_for(model.settings.grid_size, model.settings.anchors)
    ours = detection_loss(output.logits, output.deltas, anchors, batch.targets)
    assert total == pytest.approx(batch.steps * sum(ours.values()).item(), rel=1e-4)


def test_anchors_are_ours(model):
    settings = model.settings
    found = anchors_computed(settings.grid_size, settings.anchors, CPU)
    assert torch.equal(found, anchors_for(settings.grid_size, settings.anchors))


def test_it_trains(batch, model):
    training = PerStepTraining(model, LossSettings(), 1e-3, 1.0, CPU)
    losses = [training.train_step(host_steps(batch), None) for _ in range(6)]
    assert min(losses[3:]) < losses[0]
    for name, parameter in training.model.network.named_parameters():
        assert parameter.grad is not None, name
