"""The whole way on recordings of real sensors, with the 18-layer network."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.data import main as data
from cli.main import main as dmanet


def run(group, *arguments: object) -> str:
    result = CliRunner().invoke(group, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def scanned(real_recordings, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    noise = next(path for path in real_recordings if "noise" in path.name)
    person = next(path for path in real_recordings if "person" in path.name)
    # The shorter one to train, so that one step sees all of it.
    told = run(data, "ingest", noise, folder / "release", "--split", "train")
    assert "no box file" in told
    run(data, "ingest", person, folder / "release", "--split", "test")
    run(data, "scan", folder / "release", "-o", folder / "manifest.json")
    return folder


def voxelize(scanned: Path, preset: str) -> Path:
    cache = scanned / f"cache-{preset}"
    run(data, "voxelize", scanned / "manifest.json", cache, "--preset", preset)
    return cache


@pytest.mark.parametrize("preset", ["release", "paper"])
def test_ingest_scan_voxelize_verify_of_both_presets(scanned, preset):
    cache = voxelize(scanned, preset)
    run(data, "verify", cache)
    facts = json.loads(run(data, "info", cache, "--json"))
    assert facts["sensors"] == ["1280x720", "640x480"]
    assert facts["by_split"] == {
        "train": {"recordings": 1, "windows": 10},
        "test": {"recordings": 1, "windows": 30},
    }
    assert facts["left_out"] == 0
    assert facts["pillars"] > 100_000


def test_one_training_step_and_a_prediction_picture_of_the_18_layer_network(scanned):
    cache = voxelize(scanned, "release")
    run_dir, output = scanned / "run", scanned / "predictions"
    run(
        dmanet, "train", cache, "--run-dir", run_dir, "--preset", "default", "--device", "cpu",
        "--set", "training.epochs=1", "--set", "training.steps=5", "--set", "training.batch_size=2",
        "--set", "training.precision=auto", "--set", "training.sampling=random",
    )  # fmt: skip
    (step,) = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert np.isfinite(step["loss"])
    assert step["gradient_norm"] > 0
    run(
        dmanet, "predict", cache, "--checkpoint", run_dir / "last.pt", "--output", output,
        "--recording", "test/testfilelist00/person_walking", "--windows", "18:20",
        "--pictures", 1, "--score", 0.005, "--device", "cpu",
    )  # fmt: skip
    (picture,) = output.rglob("*.png")
    with Image.open(picture) as image:
        assert len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 20
    (boxes,) = output.rglob("*_bbox.npy")
    assert {"t", "x", "y", "w", "h", "class_id"} <= set(np.load(boxes).dtype.names)
