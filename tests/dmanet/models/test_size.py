import torch

from dmanet.models.detector import DMANet
from dmanet.models.size import parameter_count
from dmanet.settings import MODEL_PRESETS
from tests.dmanet.caches import small_run


def test_parameters_are_counted_without_making_them():
    for settings in (
        MODEL_PRESETS["tiny"],
        small_run("model.long_memory=none").model,
        small_run("model.long_memory=hold").model,
    ):
        torch.manual_seed(0)
        expected = sum(parameter.numel() for parameter in DMANet(settings).parameters())
        assert parameter_count(settings) == expected
