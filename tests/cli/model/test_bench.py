"""`dmanet bench` as a user types it."""

import json
from pathlib import Path

from click.testing import CliRunner

from cli.main import main
from dmanet.training.throughput import PARTS

SMALL = (
    "model.grid_size=[64, 96]",
    "model.max_points=3",
    "model.num_classes=3",
    "model.stem_width=8",
    "model.feature_size=8",
    "training.precision=fp32",
)


def bench(cache: Path, *arguments: str):
    overrides = [part for setting in SMALL for part in ("--set", setting)]
    command = ["bench", str(cache), "--preset", "tiny", "--seconds", "1", *overrides, *arguments]
    return CliRunner().invoke(main, command)


def test_bench_prints_rates_and_where_the_time_goes(cache):
    before = sorted(cache.rglob("*"))
    result = bench(cache)
    assert result.exit_code == 0, result.output
    assert "batch 4 x 4 windows" in result.stdout
    for words in ("loader alone", "step alone", "both together", "waiting for data", *PARTS):
        assert words in result.stdout
    assert sorted(cache.rglob("*")) == before


def test_bench_as_json(cache):
    result = bench(cache, "--json", "--set", "training.batch_size=2")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["batch"], found["steps"], found["precision"]) == (2, 4, "fp32")
    assert found["windows_per_s"] > 0
    assert 0 < found["data_wait_share"] < 1
    assert list(found["seconds"]) == list(PARTS)


def test_bench_refuses_what_does_not_fit_in_one_sentence(cache):
    result = bench(cache, "--set", "model.max_points=4")
    assert result.exit_code == 1
    assert "max_points = 3" in result.stderr
    assert "Traceback" not in result.output
    assert bench(cache, "--seconds", "0").exit_code == 2
