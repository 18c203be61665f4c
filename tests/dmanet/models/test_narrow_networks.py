"""The narrowest network that settings allow does not meet a fault of torch's CPU convolutions."""

import subprocess
import sys

import pytest
import torch
from torch.nn.functional import conv2d

from benchmarks.convolution_faults import checking_environment
from dmanet.models.backbone import NARROW, Backbone
from dmanet.settings import STEM_WIDTH_UNIT, load_model_settings
from pipeline.errors import SettingsError

# The convolution by which the second stage of a backbone halves its input, as training runs it, and as
# torch itself would.
DOWNSAMPLING = """
import sys, torch
from torch.nn.functional import conv2d
from dmanet.models.backbone import Backbone
width, own, *size = map(int, sys.argv[1:])
backbone = Backbone(18, inputs=16, width=width).to(memory_format=torch.channels_last)
convolution = backbone.stages[1][0].shortcut[0]
assert convolution.kernel_size == (1, 1) and convolution.in_channels == width
for _ in range(20):
    x = torch.randn(6, width, *size).to(memory_format=torch.channels_last).requires_grad_()
    y = convolution(x) if own else conv2d(x, convolution.weight, None, 2)
    y.sum().backward()
"""
SIZES = [(16, 24), (128, 160)]


def downsample(
    width: int, size: tuple[int, int], mask: str, *, own: bool
) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in (width, int(own), *size)]
    return subprocess.run(
        [sys.executable, "-c", DOWNSAMPLING, *words],
        env=checking_environment(mask), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mask", ["AVX2", "DEFAULT"])
def test_downsampling_in_the_narrowest_allowed_network_keeps_within_its_memory(mask, size):
    done = downsample(STEM_WIDTH_UNIT, size, mask, own=True)
    assert done.returncode == 0, done.stderr


def test_the_check_sees_the_fault_where_torch_has_it():
    done = downsample(STEM_WIDTH_UNIT, SIZES[1], "DEFAULT", own=False)
    if done.returncode == 0:
        pytest.skip("here torch computes narrow downsampling soundly")
    assert done.returncode < 0, done.stderr  # killed, not a Python error


@pytest.mark.parametrize("size", [(16, 24), (5, 7), (1, 4)])
def test_pixels_skipped_before_are_those_that_torch_skips(size):
    narrow = Backbone(18, inputs=16, width=NARROW - 8).stages[1][0].shortcut[0]
    x = torch.randn(2, NARROW - 8, *size)
    torch.testing.assert_close(narrow(x), conv2d(x, narrow.weight, None, 2))


@pytest.mark.parametrize("width", [-8, 0, 1, 4, 7, 12, 63])
def test_another_width_is_refused(width):
    with pytest.raises(SettingsError, match="multiple of 8"):
        load_model_settings({"stem_width": width})
