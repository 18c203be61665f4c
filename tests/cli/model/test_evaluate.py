"""`dmanet evaluate` as a user types it."""

import pytest
import torch

from tests.cli.model.commands import refused


def test_wrong_choices_end_with_exit_code_2(cache, trained):
    evaluate = ("evaluate", cache, "--checkpoint", trained)
    refused(*evaluate, "--protocol", "coco", code=2, saying="'coco' is not one of")
    refused(*evaluate, "--protocol", "rvt", code=2, saying="two wheeler")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_named(cache, trained):
    refused(
        "evaluate", cache, "--checkpoint", trained, "--device", "cuda", code=2,
        saying="'cuda' is not there",
    )  # fmt: skip
