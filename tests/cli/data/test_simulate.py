"""`dmanet-data simulate` as a user types it."""

import json

from tests.cli.data.commands import GRID, refused, run


def test_simulate_writes_a_release_that_scans_and_voxelizes(tmp_path):
    made = run(
        "simulate", tmp_path / "sim", "--size", "160x96", "--rate", 3000, "--seconds", 0.5,
        "--recordings", "train=1,test=1", "--classes", "car,bus",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    rules = ("--min-diagonal", 7.5, "--min-side", 2.5)
    scanned = run("scan", tmp_path / "sim", "-o", tmp_path / "m.json", *rules, "--json")
    facts = json.loads(scanned.stdout)
    assert facts["recordings"] == 2
    assert sum(facts["labels_kept"].values()) > 0
    assert run("voxelize", tmp_path / "m.json", tmp_path / "c", *GRID, *rules).exit_code == 0


def test_options_that_mean_nothing(tmp_path):
    out = tmp_path / "sim"
    refused("simulate", out, "--recordings", "train", code=2, saying="not like train=4")
    refused("simulate", out, "--defects", "rust", code=2, saying="no defect")
    assert not out.exists()
