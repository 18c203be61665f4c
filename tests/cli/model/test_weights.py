"""`dmanet import-weights` as a user types it."""

import json
from pathlib import Path

import pytest
import torch

from dmanet.runs.weights import load_weights
from tests.cli.model.commands import refused, run


@pytest.fixture(scope="module")
def released(golden, tmp_path_factory) -> Path:
    """A checkpoint as the released code writes them: zeros of the released names and shapes."""
    listing = json.loads((golden / "fullmodel_names_shapes.json").read_text())["names_shapes"]
    path = tmp_path_factory.mktemp("released") / "released.pth"
    torch.save({"state_dict": {name: torch.zeros(shape) for name, shape in listing}}, path)
    return path


def test_released_weights_become_a_file_that_evaluate_takes(released, cache, tmp_path: Path):
    out = tmp_path / "dmanet18.safetensors"
    result = run("import-weights", released, out)
    assert result.exit_code == 0, result.output
    weights = load_weights(out)
    assert weights.fingerprint() in result.stdout
    assert weights.settings.depth == 18
    assert weights.build().settings == weights.settings
    refused("evaluate", cache, "--checkpoint", out, code=1, saying="grid_size = (64, 96)")


def test_weights_that_do_not_fit_are_refused_and_nothing_is_written(released, tmp_path: Path):
    out = tmp_path / "out.safetensors"
    refused("import-weights", released, out, "--preset", "dmanet34", code=1, saying="missing: ")
    refused(
        "import-weights", released, out, "--set", "num_classes=1", code=1,
        saying="of another shape: ",
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
