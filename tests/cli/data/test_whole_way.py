"""The commands one after the other, on a release of all splits."""

import json

from tests.cli.data.commands import GRID, run


def test_scan_subset_voxelize_verify_info_and_stats_work_one_after_the_other(
    release, manifest, tmp_path
):
    subset, cache = tmp_path / "subset.json", tmp_path / "cache"
    budget = int(json.loads(manifest.read_text())["totals"]["bytes"] * 0.7)
    files = tmp_path / "files.txt"
    chosen = run(
        "subset", manifest, "--budget", budget, "-o", subset, "--files-from", files,
        "--link", tmp_path / "tree",
    )  # fmt: skip
    assert chosen.exit_code == 0, chosen.output
    assert "total variation" in chosen.output
    listed = files.read_text().split()
    assert sum((release / name).stat().st_size for name in listed) <= budget
    assert all((tmp_path / "tree" / name).exists() for name in listed)

    made = run("voxelize", subset, cache, *GRID, "--json")
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout)
    assert facts["settings"]["grid"] == [64, 64]
    assert facts["windows"] == 10 * sum("/ev0" in name for name in listed)
    again = run("voxelize", tmp_path / "tree", cache, *GRID, "--json")
    assert json.loads(again.stdout) == facts

    assert run("verify", cache).exit_code == 0
    assert json.loads(run("info", cache, "--json").stdout) == facts
    assert json.loads(run("info", subset, "--json").stdout)["subset"]["budget"] == budget
    report, numbers = tmp_path / "report.html", tmp_path / "report.json"
    assert run("stats", cache, "-o", report, "--json", numbers).exit_code == 0
    assert "<svg" in report.read_text()
    assert json.loads(numbers.read_text())
    assert run("stats", manifest, "-o", tmp_path / "m.html").exit_code == 0
