"""The trainer's initial weights."""

import math

import torch
from torch import nn

from dmanet.models.heads import Head

OBJECT_PRIOR = 0.01  # initial probability of every class at every anchor


def initialize_convolutions(module: nn.Module) -> None:
    """Every convolution weight from ``N(0, sqrt(2 / (k*k*C_out)))``; biases stay as they are.

    Batch normalisation already starts at weight 1, bias 0.

    Args:
        module: all that lies below it.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            fan_out = math.prod(part.kernel_size) * part.out_channels
            nn.init.normal_(part.weight, 0.0, math.sqrt(2.0 / fan_out))


def initialize_gates(gates: nn.Conv2d, forget_bias: float, candidate_is_input: bool) -> None:
    """What a ConvLSTM's gates begin with beyond their drawn weights.

    Args:
        gates: a 3x3 convolution of ``[x, h]`` to input, forget, output and candidate, C channels each.
        forget_bias: is added to the forget gates' biases: what is remembered stays longer.
        candidate_is_input: the candidate is ``x`` at the same cell, without ``h`` and bias.
    """
    channels = gates.out_channels // 4
    assert gates.bias is not None
    with torch.no_grad():
        gates.bias[channels : 2 * channels] += forget_bias
        if candidate_is_input:
            weight = gates.weight[3 * channels :]  # [C, 2C, 3, 3]
            nn.init.zeros_(weight)
            weight[:, :channels, 1, 1] = torch.eye(channels)
            nn.init.zeros_(gates.bias[3 * channels :])


def initialize_heads(class_head: Head, box_head: Head) -> None:
    """Zero output weights: every logit starts at the prior's, every delta at 0."""
    nn.init.zeros_(class_head.output.weight)
    nn.init.zeros_(box_head.output.weight)
    assert class_head.output.bias is not None
    assert box_head.output.bias is not None
    nn.init.constant_(class_head.output.bias, -math.log((1 - OBJECT_PRIOR) / OBJECT_PRIOR))
    nn.init.zeros_(box_head.output.bias)
