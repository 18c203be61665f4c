import math

import pytest
import torch

from dmanet.models.detector import DMANet, LevelState
from dmanet.settings import MODEL_PRESETS
from dmanet.training.guards import KeptStatistics, gradient_norms, is_finite, judge

TINY = MODEL_PRESETS["tiny"].model_copy(
    update={"grid_size": (32, 32), "stem_width": 8, "feature_size": 8, "head_convs": 1}
)


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
def test_a_step_is_judged_by_its_loss_first_and_then_by_its_gradient(lost):
    assert judge(1.0, 2.0, None) == "made"
    assert judge(lost, 2.0, None) == "bad loss"
    assert judge(lost, lost, 65536.0) == "bad loss"
    assert judge(1.0, lost, None) == "bad gradient"


def test_an_overflow_is_a_bad_step_only_where_the_loss_scale_cannot_go_lower():
    assert judge(1.0, math.inf, 65536.0) == "overflow"
    assert judge(1.0, math.nan, 2.0) == "overflow"
    assert judge(1.0, math.inf, 1.0) == "bad gradient"


def test_running_statistics_come_back_as_they_were():
    torch.manual_seed(0)
    model = DMANet(TINY).train()
    statistics = KeptStatistics(model)
    model.backbone(torch.randn(2, 16, 32, 32))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    statistics.keep()
    model.backbone(torch.full((2, 16, 32, 32), math.nan))
    assert not all(torch.isfinite(buffer).all() for buffer in model.buffers())
    statistics.restore()
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_gradient_norms_are_told_by_module():
    torch.manual_seed(0)
    model = DMANet(TINY)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    model.class_head.output.bias.grad[0] = math.nan
    model.pillar_net.slot_conv.weight.grad = None
    norms = gradient_norms(model)
    assert norms.keys() == {name for name, _ in model.named_children()}
    assert norms.keys() >= {"pillar_net", "backbone", "long_memory", "short_memory", "class_head"}
    assert math.isnan(norms.pop("class_head"))
    for name, norm in norms.items():
        parameters = getattr(model, name).parameters()
        square = sum(p.grad.double().square().sum() for p in parameters if p.grad is not None)
        assert norm == pytest.approx(math.sqrt(square), rel=1e-5)


def test_one_number_that_is_none_makes_a_state_unfit():
    tensors = [torch.zeros(1, 2, 3, 3) for _ in range(3)]
    assert is_finite((LevelState(*tensors),))
    for tensor in tensors:
        tensor[0, 1, 2, 0] = math.inf
        assert not is_finite((LevelState(*tensors),))
        tensor[0, 1, 2, 0] = 0
