"""The training step's floor counts every convolution, and the table says what was measured."""

import torch
from torch import nn

from benchmarks.convolution_floor import ConvolutionFloor
from benchmarks.train_step import cases, table
from dmanet.training.throughput import PARTS


def test_floor_replays_each_convolution_forward_and_backward():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 5, 1, bias=False))
    network = network.to(memory_format=torch.channels_last)
    frames = torch.randn(2, 3, 9, 7).to(memory_format=torch.channels_last)
    with ConvolutionFloor() as floor:
        with torch.autocast("cpu", torch.bfloat16):
            out = network(frames)
        out.float().sum().backward()
    assert len(floor) == 4
    with ConvolutionFloor() as again:  # what is replayed is what was noted
        floor.replay()
    assert again._calls == floor._calls
    forward = floor._calls[0][1]
    assert forward[0].shape == (2, 3, 9, 7)
    assert forward[0].dtype == torch.bfloat16
    assert forward[0].stride == frames.stride()
    assert floor._calls[-1][1][-1] == [False, True, True]  # frames need no gradient


def test_quick_runs_measure_one_small_network_on_a_cpu():
    (quick,) = cases(torch.device("cpu"), quick=True)
    assert quick.settings().model.grid_size == (128, 128)
    full = cases(torch.device("cpu"), quick=False)[-1].settings()
    assert full.model.depth == 18
    assert (full.training.batch_size, full.training.steps) == (2, 3)


def test_table_has_a_column_for_each_case_and_a_row_for_each_part():
    one = {
        "train_step_vs_per_step_formulation": 1.5,
        "device": "CPU, 1 threads",
        "precision": "bf16",
        "seconds": dict.fromkeys(PARTS, 1.0),
    }
    text = table({"small": one, "large": one})
    assert "| train_step_vs_per_step_formulation | 1.5 | 1.5 |" in text
    assert f"| backward | {1 / len(PARTS):.1%} | {1 / len(PARTS):.1%} |" in text
