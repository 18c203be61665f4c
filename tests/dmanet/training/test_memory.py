import pytest
import torch

from dmanet.recipes import resolve_settings
from dmanet.training.memory import check_network_fits, memory_checked
from pipeline.errors import UsageError
from tests.dmanet.training_runs import CPU


def test_a_network_larger_than_the_machine_is_refused_without_making_it():
    monstrous = ["model.stem_width=1024", "model.feature_size=2048", "model.depth=152"]
    with pytest.raises(UsageError, match=r"parameters, whose training takes [0-9]+ GB"):
        check_network_fits(resolve_settings("default", None, monstrous), CPU)
    check_network_fits(resolve_settings("tiny"), CPU)


def allocate_too_much() -> None:
    torch.empty(2**60, dtype=torch.uint8)


def fail() -> None:
    raise RuntimeError("another reason")


def test_a_step_that_does_not_fit_is_one_sentence():
    with (
        pytest.raises(UsageError, match="Step 7 does not fit the memory of cpu"),
        memory_checked(7, CPU),
    ):
        allocate_too_much()
    with pytest.raises(RuntimeError, match="another reason"), memory_checked(7, CPU):
        fail()
