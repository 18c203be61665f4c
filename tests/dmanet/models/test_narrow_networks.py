"""The narrowest network that settings allow does not meet a fault of torch's CPU convolutions."""

import subprocess
import sys

import pytest

from benchmarks.convolution_faults import checking_environment
from dmanet.settings import STEM_WIDTH_UNIT, load_model_settings
from pipeline.errors import SettingsError

# The convolution by which the second stage of a backbone halves its input, as training runs it.
DOWNSAMPLING = """
import sys, torch
from dmanet.models.backbone import Backbone
width = int(sys.argv[1])
backbone = Backbone(18, inputs=16, width=width).to(memory_format=torch.channels_last)
convolution = backbone.stages[1][0].shortcut[0]
assert convolution.kernel_size == (1, 1) and convolution.in_channels == width
for _ in range(20):
    x = torch.randn(6, width, 16, 24).to(memory_format=torch.channels_last).requires_grad_()
    convolution(x).sum().backward()
"""


def downsample(width: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", DOWNSAMPLING, str(width)]
    environment = checking_environment("AVX2")
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_downsampling_in_the_narrowest_allowed_network_keeps_within_its_memory():
    done = downsample(STEM_WIDTH_UNIT)
    assert done.returncode == 0, done.stderr


def test_the_check_sees_the_fault_where_torch_has_it():
    done = downsample(4)
    if done.returncode == 0:
        pytest.skip("here torch computes narrow downsampling soundly")
    assert done.returncode < 0, done.stderr  # killed, not a Python error


@pytest.mark.parametrize("width", [-8, 0, 1, 4, 7, 12, 63])
def test_a_narrower_network_is_refused_with_the_reason(width):
    with pytest.raises(SettingsError, match=r"multiple of 8; .* corrupts memory"):
        load_model_settings({"stem_width": width})
