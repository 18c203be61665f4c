"""The search for convolutions that corrupt memory: what it tries, and that it notices a death."""

import os
import signal
from dataclasses import dataclass

import pytest
from torch import nn

from benchmarks.convolution_faults import KINDS, SHORTCUT, Shape, groups, plain, survives, table
from dmanet.models.detector import DMANet
from dmanet.settings import MODEL_PRESETS


@dataclass(frozen=True)
class Deadly:
    """Stands for a shape whose run ends the process as glibc does."""

    def run(self) -> None:
        os.kill(os.getpid(), signal.SIGABRT)


@dataclass(frozen=True)
class Harmless:
    def run(self) -> None:
        pass


def test_a_death_is_noticed_and_nothing_else_is_held_for_one():
    assert survives([Harmless(), Harmless()])
    assert not survives([Harmless(), Deadly()])


@pytest.mark.parametrize("preset", ["dmanet18", "tiny"])
def test_every_convolution_of_the_network_is_of_a_kind_that_is_tried(preset):
    tried = {(kind.kernel, kind.stride, kind.padding) for kind in KINDS}
    for module in DMANet(MODEL_PRESETS[preset]).modules():
        if isinstance(module, nn.Conv2d):
            assert (module.kernel_size, module.stride, module.padding) in tried


def test_the_table_names_the_inputs_that_do_not_hold():
    narrow = Shape(SHORTCUT, 4, 8, (16, 24), 6, channels_last=True, bf16=False)
    assert not narrow.allowed
    wide = Shape(SHORTCUT, 16, 8, (16, 24), 6, channels_last=True, bf16=False)
    assert wide.allowed
    rows = table({"AVX2": [plain(narrow)], "DEFAULT": []}).splitlines()
    (row,) = [row for row in rows if "corrupts" in row]
    assert row == "| shortcut 1x1 s2 | channels last | fp32 | corrupts at inputs 4 | holds |"


def test_each_group_is_tried_once():
    every = list(groups())
    assert len(every) == len(set(every))
