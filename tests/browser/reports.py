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


def _of_command(source: str, beside: str | None = None) -> Callable[[Path], Report]:
    def make(folder: Path) -> Report:
        if not (folder / "cache").exists():
            simulate(folder)
        html, numbers = (folder / f"{source}-{beside}.{kind}" for kind in ("html", "json"))
        compared = () if beside is None else ("--compare", folder / beside)
        _run("stats", folder / source, "-o", html, "--json", numbers, "--quiet", *compared)
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


def _of_run(folder: Path) -> Report:
    """A run that was trained for a moment and scored, its worst windows drawn."""
    from dmanet.evaluation.details import Resampling
    from dmanet.evaluation.evaluate import evaluate
    from dmanet.evaluation.examination import Examination
    from dmanet.evaluation.streaming import StreamSettings
    from dmanet.reporting.run_page import render_run
    from dmanet.reporting.run_source import read_run_source
    from dmanet.reporting.worst_pictures import draw_worst_windows
    from dmanet.runs.weights import load_weights
    from dmanet.training.loop import train
    from tests.dmanet.caches import make_cache as training_cache
    from tests.dmanet.caches import small_run
    from tests.dmanet.training_runs import CPU

    cache, run, html = training_cache(folder / "run-data"), folder / "run", folder / "run.html"
    train(cache, small_run("training.epochs=2"), run, device=CPU)
    weights, stream = load_weights(run / "last.pt"), StreamSettings(CPU, "fp32")
    examination = Examination(Resampling(50), worst=3)
    result = evaluate(weights, cache, "release", "test", stream, examination=examination)
    (run / "evaluation.json").write_text(result.to_json())
    assert result.details is not None
    worst = result.details.worst
    draw_worst_windows(weights, cache, worst, 0.1, result.protocol, stream, run / "worst")
    html.write_text(render_run(read_run_source(run, None), None), encoding="utf-8")
    found = json.loads(result.to_json())
    (overall,) = [row for row in found["rows"] if row["name"] == "all"]
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    made = sum(step["outcome"] == "made" for step in steps)
    figures = {"mAP@0.5": overall["map50"], "mAP@0.5:0.95": overall["map50_95"]}
    return Report(html, {**figures, "steps made": made})


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
    "stats of a cache beside a manifest": _of_command("cache", "manifest.json"),
    "stats of a rough cache": _rough("cache"),
    "stats of labels alone": _rough("labels"),
    "report of a run": _of_run,
}
