"""Caches, manifests and checkpoints of an earlier state open, verify and go on as they did."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import data, main

EARLIER = Path(__file__).parent / "data" / "first_round"


# Its counts of defects are those of a scan today; before, what a cache counted in a damaged recording
# differed (a gap behind the window left out, the boxes of that window).
DAMAGED = Path("train/trainfilelist00/sim_000005_train_0001/zarr.json")


def contents(cache: Path) -> dict[Path, bytes]:
    """Every file of a cache but the damaged recording's attributes."""
    files = {p.relative_to(cache): p.read_bytes() for p in cache.rglob("*") if p.is_file()}
    del files[DAMAGED]
    return files


def attributes(cache: Path, group: Path) -> dict:
    """A group's attributes without the counts of defects and the digest over them."""
    found = json.loads((cache / group).read_text())["attributes"]
    del found["defects"]["counts"], found["digest"]
    return found


def run(group, *arguments: object) -> str:
    result = CliRunner().invoke(group, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A copy, so that nothing can be written into what is kept."""
    return shutil.copytree(EARLIER, tmp_path / "earlier")


@pytest.mark.parametrize("cache", ["cache", "paper_cache"])
def test_a_cache_verifies_and_is_described_as_before(earlier, cache):
    assert "every digest matches" in run(data.main, "verify", earlier / cache)
    described = json.loads(run(data.main, "info", earlier / cache, "--json"))
    assert described == json.loads((earlier / f"{cache}.info.json").read_text())


@pytest.mark.parametrize(
    ("cache", "options"),
    [
        ("cache", ("--grid", "32x32")),
        ("paper_cache", ("--preset", "paper", "--time-steps", 16, "--grid", "48x32")),
    ],
)
def test_the_same_shards_give_the_same_cache_today(earlier, cache, options):
    rules = ("--classes", "car,pedestrian", "--min-diagonal", 6, "--min-side", 2, "--quiet")
    manifest, made = earlier / "manifest.json", earlier / "made"
    result = CliRunner().invoke(
        data.main, list(map(str, ("voxelize", manifest, made, *options, *rules)))
    )
    assert result.exit_code == 3  # one window is planted to be left out
    kept = earlier / cache
    assert contents(made) == contents(kept)
    assert attributes(made, DAMAGED) == attributes(kept, DAMAGED)


def test_a_scan_of_the_same_shards_is_the_same_manifest(earlier):
    made = earlier / "scanned.json"
    run(data.main, "scan", earlier / "release", "-o", made, "--min-diagonal", 6, "--min-side", 2)
    found = json.loads(made.read_text())
    for row in found["recordings"]:  # there were none
        assert row.pop("label_checks")["faults"] == {}
    assert found == json.loads((earlier / "manifest.json").read_text())


def test_a_run_goes_on_from_its_checkpoint(earlier):
    run(main.main, "train", earlier / "cache", "--run-dir", earlier / "run", "--resume", "--quiet")
    steps = [json.loads(line) for line in (earlier / "run" / "metrics.jsonl").open()]
    expected = json.loads((earlier / "run" / "losses.json").read_text())["losses after step 40"]
    assert [step["step"] for step in steps] == list(range(40, 60))
    # The first loss needs the weights and the order of windows alone, the later ones the optimiser's
    # state too; rounding differs between processors and grows from step to step.
    assert steps[0]["loss"] == pytest.approx(expected[0], rel=1e-4)
    assert [step["loss"] for step in steps] == pytest.approx(expected, rel=0.05)


def test_the_weights_of_a_checkpoint_are_those_it_held(earlier):
    from dmanet.runs.weights import load_weights

    assert load_weights(earlier / "run" / "last.pt").fingerprint() == "8cc0ca98b0917f0c"


LATER = ("first_hidden", "forget_bias", "candidate_init", "short_memory_init")


def test_settings_of_an_earlier_run_mean_the_released_memories_in_every_preset(earlier):
    from dmanet.recipes import RUN_PRESETS, resolve_settings
    from dmanet.settings import ModelSettings

    described = earlier / "run" / "settings.yaml"
    assert not any(name in described.read_text() for name in LATER)
    for preset in RUN_PRESETS:
        model = resolve_settings(preset, described).model
        assert [getattr(model, name) for name in LATER] == [
            getattr(ModelSettings(), name) for name in LATER
        ]


def test_a_file_of_weights_without_the_later_settings_is_whole(earlier):
    from safetensors import safe_open
    from safetensors.torch import save_file

    from dmanet.runs.digests import content_digest
    from dmanet.runs.stored_classes import stored_classes
    from dmanet.runs.weights import load_weights, save_weights

    weights = load_weights(earlier / "run" / "last.pt")
    file = earlier / "weights.safetensors"
    save_weights(file, weights)
    assert load_weights(file).fingerprint() == weights.fingerprint()
    with safe_open(file, "pt") as opened:
        header = opened.metadata()
    settings = json.loads(header["settings"])
    assert all(settings.pop(name) is not None for name in LATER)
    content = {
        "settings": weights.settings.model_dump(exclude=set(LATER)),
        "classes": stored_classes(weights.classes),
        "tensors": weights.tensors,
    }
    tensors = {name: tensor.contiguous() for name, tensor in weights.tensors.items()}
    header |= {"settings": json.dumps(settings), "digest": content_digest(content)}
    save_file(tensors, file, header)
    assert load_weights(file).fingerprint() == weights.fingerprint()
