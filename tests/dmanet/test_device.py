"""The precision that `auto` means follows what the processor may use."""

import os
import subprocess
import sys

import pytest
import torch

from dmanet.device import choose_precision
from pipeline.errors import UsageError

AUTO = """
import torch
from dmanet.device import choose_precision
print(choose_precision("auto", torch.device("cpu")))
"""


def test_auto_is_float32_where_onednn_may_use_no_more_than_avx2():
    masked = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, "-c", AUTO]
    done = subprocess.run(command, env=masked, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "fp32"


def test_a_precision_is_taken_as_it_is_given_and_an_unknown_one_refused():
    cpu = torch.device("cpu")
    assert [choose_precision(name, cpu) for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    with pytest.raises(UsageError, match=r"'fp8' is unknown; choose auto, fp32"):
        choose_precision("fp8", cpu)
