"""How large a network is, told without making it."""

import torch

from dmanet.models.detector import DMANet
from dmanet.settings import ModelSettings


def parameter_count(settings: ModelSettings) -> int:
    """Trained numbers of a network of these settings."""
    with torch.device("meta"):  # shapes alone, no memory
        return sum(parameter.numel() for parameter in DMANet(settings).parameters())
