"""`dmanet-data simulate` as a user types it."""

import json
import os
from unittest import mock

import pytest

from pipeline.simulation.estimate import estimate
from pipeline.simulation.settings import SimulationSettings
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


def test_with_stops_there_are_fewer_events_than_the_rate(tmp_path):
    options = (
        "--size",
        "96x64",
        "--rate",
        1000,
        "--seconds",
        6,
        "--recordings",
        "val=1",
        "--stops",
    )
    made = run("simulate", tmp_path / "sim", *options, "--seed", 2)
    assert made.exit_code == 0, made.output
    record = json.loads((tmp_path / "sim" / "simulation.json").read_text())
    assert record["settings"]["stops"] is True
    (row,) = record["recordings"]
    assert row["events"] < 0.9 * 1000 * row["windows"]


def test_options_that_mean_nothing(tmp_path):
    out = tmp_path / "sim"
    refused("simulate", out, "--recordings", "train", code=2, saying="not like train=4")
    refused("simulate", out, "--defects", "rust", code=2, saying="no defect")
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--seconds", "nan"),
        ("--seconds", "-inf"),
        ("--seconds", "0"),
        ("--seconds", "1e9"),
        ("--rate", "99"),
        ("--rate", "99999999999"),
        ("--objects", "-1"),
        ("--objects", "1000000"),
        ("--seed", "-1"),
        ("--seed", "99999999999999999999"),
        ("--workers", "0"),
    ],
)
def test_numbers_beyond_their_range_are_refused(tmp_path, option, value):
    refused("simulate", tmp_path / "sim", option, value, code=2, saying=f"'{option}'")
    assert not (tmp_path / "sim").exists()


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        (("--recordings", "train=99999999999"), "numbers have up to 6 digits"),
        (("--recordings", "train=999999"), "at most 100000"),
        (("--recordings", "train=100000", "--seconds", 3600), "would take about"),
        (("--size", "16384x16384"), "is too large"),
        (("--size", "4096x4096"), "of memory, and the machine has"),
    ],
)
def test_more_than_the_machine_has_is_refused_with_the_estimate(tmp_path, options, saying):
    with mock.patch("os.sysconf", return_value=1 << 15):  # 1 GiB of memory
        refused("simulate", tmp_path / "sim", *options, code=2, saying=saying)
    assert not (tmp_path / "sim").exists()


def test_the_estimate_is_said_before_the_work_and_is_not_far_off(tmp_path):
    out = tmp_path / "sim"
    made = run("simulate", out, "--size", "160x96", "--rate", 3000, "--seconds", 0.5,
               "--recordings", "train=1")  # fmt: skip
    assert made.stderr.startswith(f"{out}: this will take about ")
    settings = SimulationSettings(sensor=(160, 96), rate=3000, seconds=0.5, recordings={"train": 1})
    written = sum(path.stat().st_size for path in out.rglob("*.npz"))
    assert written < estimate(settings).disk < 3 * written


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_what_is_no_folder_is_not_written_over(tmp_path, kind):
    out = tmp_path / "sim"
    if kind == "file":
        out.write_text("mine")
    else:
        os.mkfifo(out)
    refused("simulate", out, code=2, saying="give a folder")
    refused("ingest", __file__, out, code=2, saying="give a folder")
