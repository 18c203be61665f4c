"""The optimiser and its learning rate."""

import torch
from torch import nn

from dmanet.recipes import TrainingSettings


def make_optimizer(model: nn.Module, recipe: TrainingSettings) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Use ``learning_rate`` for all parameters from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
