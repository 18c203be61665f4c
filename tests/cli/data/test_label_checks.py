"""Label checks as a user meets them: planted by `simulate`, told, drawn, and dropped."""

import json
from pathlib import Path

import pytest

from tests.cli.data.commands import GRID, refused, run

FAULTS = "duplicate-box,box-without-events,box-jump"
SMALL = ("--min-diagonal", 6, "--min-side", 2, "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A release with every fault planted once, its boxes three windows late, and its manifest."""
    folder = tmp_path_factory.mktemp("checked")
    made = run(
        "simulate", folder / "sim", "--size", "160x90", "--rate", 3000, "--seconds", 5, "--seed", 5,
        "--objects", 5, "--recordings", "train=1", "--defects", FAULTS, "--label-offset", 3,
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert run("scan", folder / "sim", "-o", folder / "m.json", *SMALL).exit_code == 0
    return folder


def test_info_tells_what_was_planted(folder):
    facts = json.loads(run("info", folder / "m.json", "--json").stdout)
    assert {fault: sum(n.values()) for fault, n in facts["box_faults"].items()} == dict.fromkeys(
        FAULTS.split(","), 1
    )
    (offset,) = facts["label_offsets"].values()
    assert offset["windows"] == 3


def test_the_report_has_numbers_and_pictures(folder, tmp_path):
    html, numbers = tmp_path / "r.html", tmp_path / "r.json"
    run("stats", folder / "m.json", "-o", html, "--json", numbers, "--quiet")
    page = html.read_text()
    faulty = page[page.index("Windows with most faulty boxes") : page.index("Example windows</h2>")]
    assert faulty.count('src="data:image/png;base64,') == 2  # no more of one recording
    assert "late or early against the events by 3 windows" in page
    checks = json.loads(numbers.read_text())["label_checks"]
    assert checks["faults"]["box-jump"]["car"] == 1
    assert [offset["windows"] for offset in checks["offsets"].values()] == [3]


def test_boxes_are_dropped_by_name_in_any_order(folder, tmp_path):
    counted = []
    for name, drop in (("a", ()), ("b", ("--drop", "box-jump, duplicate-box,box-without-events"))):
        made = run("voxelize", folder / "m.json", tmp_path / name, *GRID, *SMALL, *drop, "--json")
        assert made.exit_code == 0, made.output
        counted.append(json.loads(made.stdout))
    plain, dropped = counted
    assert plain["boxes"] - dropped["boxes"] == 3
    assert "drop" not in plain["settings"]
    assert dropped["settings"]["drop"] == FAULTS.split(",")
    assert run("verify", tmp_path / "b", "--deep", "--root", folder / "sim").exit_code == 0


def test_what_is_no_fault_of_boxes_is_refused(folder, tmp_path):
    for drop in ("wrong-class", "", "box-jump,rust"):
        refused(
            "voxelize",
            folder / "m.json",
            tmp_path / "c",
            "--drop",
            drop,
            code=2,
            saying="is none of",
        )
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("offset", ["11", "-11", "1.5"])
def test_an_offset_beyond_its_range_is_refused(tmp_path, offset):
    refused("simulate", tmp_path / "s", "--label-offset", offset, code=2, saying="'--label-offset'")
