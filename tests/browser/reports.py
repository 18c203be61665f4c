"""Every page this software writes, made small; a new one is a line in :data:`REPORTS`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from cli.data import main
from pipeline.cache.settings import CacheSettings
from pipeline.report.page import write_report
from pipeline.selection.scan import scan_release
from pipeline.statistics.collect import collect_statistics, write_statistics
from tests.pipeline.caches import make_cache
from tests.pipeline.rough_release import rough_release

FAULTS = "duplicate-box,box-without-events,box-jump"
SMALL = ("--min-diagonal", 6, "--min-side", 2, "--quiet")


@dataclass(frozen=True)
class Report:
    """A page, and what its key figures must be by the JSON that was written with it."""

    html: Path
    figures: dict[str, float]


def _run(*arguments: object) -> None:
    done = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def simulate(
    folder: Path, size: str = "160x90", rate: int = 2000, seconds: int = 3, recordings: int = 2
) -> None:
    """A release with faulty boxes, its manifest and its cache, in ``folder``."""
    _run(
        "simulate", folder / "release", "--size", size, "--rate", rate, "--seconds", seconds,
        "--seed", 5, "--objects", 5, "--recordings", f"train={recordings},val=1,test=1",
        "--defects", FAULTS, "--label-offset", 3, "--quiet",
    )  # fmt: skip
    _run("scan", folder / "release", "-o", folder / "manifest.json", *SMALL)
    _run("voxelize", folder / "manifest.json", folder / "cache", "--grid", "64x64", *SMALL)


def _of_command(source: str) -> Callable[[Path], Report]:
    def make(folder: Path) -> Report:
        if not (folder / "cache").exists():
            simulate(folder)
        html, numbers = folder / f"{source}.html", folder / f"{source}-numbers.json"
        _run("stats", folder / source, "-o", html, "--json", numbers, "--quiet")
        return Report(html, _statistics_figures(numbers))

    return make


def _rough(kind: str) -> Callable[[Path], Report]:
    """Awkward names, two sensors, no boxes, a missing file."""

    def make(folder: Path) -> Report:
        release = folder / "rough"
        if not release.exists():
            rough_release(release)
        source = (
            make_cache(release, folder / f"rough {kind}", CacheSettings(preset="paper"))
            if kind == "cache"
            else scan_release(release, labels_only=True)
        )
        html, numbers = folder / f"rough-{kind}.html", folder / f"rough-{kind}.json"
        write_report(collect_statistics(source), html)
        write_statistics(collect_statistics(source), numbers)
        return Report(html, _statistics_figures(numbers))

    return make


def _statistics_figures(path: Path) -> dict[str, float]:
    """The key figures, worked out from the JSON once more."""
    found = json.loads(path.read_text())
    splits = found["splits"].values()
    boxes = [sum((row["kept"] or {}).values()) for row in splits]
    figures: dict[str, float] = {
        "recordings": len(found["recordings"]),
        "kept boxes": sum(boxes),
    }
    events = [row["events"] for row in splits]
    if None not in events:
        windows = sum(row["windows"] for row in splits)
        figures["events in a mean window"] = sum(events) / windows
    if found["source"]["kind"] == "cache":
        figures["windows left out"] = sum(row["left_out"] for row in found["recordings"])
        means = [q["mean"] for q in found["pillars"]["per_window"].values() if q]
        figures["pillars in a mean window"] = sum(means)
    else:
        figures["defects found"] = sum(row["count"] for row in found["defects"].values())
    return figures


#: What makes each page in a folder that all share.
REPORTS: dict[str, Callable[[Path], Report]] = {
    "stats of a cache": _of_command("cache"),
    "stats of a manifest": _of_command("manifest.json"),
    "stats of a rough cache": _rough("cache"),
    "stats of labels alone": _rough("labels"),
}
