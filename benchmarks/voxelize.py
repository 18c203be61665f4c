"""How fast shards become a cache: `python -m benchmarks.voxelize [--quick] [--json]`.

Each figure is a ratio of medians of interleaved repetitions in this run. The floor is inflating the
same npz members with a CRC check, by the fastest well-kept library (ISA-L); the baseline is the
released loader's own work on the same windows.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.release_loader import load_window
from benchmarks.shards import RATES, event_files, simulated_release, source_bytes
from benchmarks.timing import in_turn, median
from pipeline.cache_layout import CacheSettings
from pipeline.npz import NpzFile
from pipeline.release import SENSOR_SIZE, RecordingFiles, read_events, walk_release
from pipeline.voxelize import voxelize

Clusters = dict[int, str]  # scheduler addresses by number of workers
MAIN = ("release", "200k")  # what the top-level keys hold


def measure(
    root: Path, work: Path, preset: str, repetitions: int, scaling: Clusters | None
) -> dict[str, Any]:
    """Every figure for one release and preset."""
    recordings = walk_release(root)
    files = event_files(recordings)
    events = sum(len(read_events(NpzFile(path), k)) for path in files for k in range(10))
    windows = 10 * len(files)
    baseline_windows = [(files[0], k) for k in range(10)]
    share = len(baseline_windows) / windows  # the baseline runs on one shard: it is slow

    def release_loader() -> None:
        for path, member in baseline_windows:
            load_window(path, member)

    def inflate() -> None:
        for path in files:
            file = NpzFile(path)
            for member in range(10):
                file.read(f"e{member}")

    parts: dict[str, Callable[[], object]] = {
        "release": release_loader,
        "inflate": inflate,
        "one": lambda: build(recordings, work / "one", preset),
    }
    if scaling is not None:
        parts["dask one"] = lambda: build(recordings, work / "dask", preset, scaling[1])
        parts["dask two"] = lambda: build(recordings, work / "dask", preset, scaling[2])
    seconds = {name: median(times) for name, times in in_turn(repetitions, **parts).items()}
    cache_bytes = sum(p.stat().st_size for p in (work / "one").rglob("*") if p.is_file())
    return {
        "events_per_window": round(events / windows),
        "windows": windows,
        "voxelize_vs_release_loader": seconds["release"] / share / seconds["one"],
        "voxelize_share_of_inflate_floor": seconds["inflate"] / seconds["one"],
        "two_worker_scaling": seconds["dask one"] / seconds["dask two"] if scaling else None,
        "peak_mb_per_worker": peak_mb(root, preset),
        "cache_to_source_bytes": cache_bytes / source_bytes(recordings),
        "voxelize_events_per_s": events / seconds["one"],
        "release_loader_events_per_s": events * share / seconds["release"],
        "inflate_events_per_s": events / seconds["inflate"],
    }


def build(
    recordings: list[RecordingFiles], cache: Path, preset: str, scheduler: str | None = None
) -> None:
    """npz to published cache, from nothing, in this process or on a cluster."""
    shutil.rmtree(cache, ignore_errors=True)
    settings = CacheSettings(preset=preset)
    voxelize(recordings, lambda recording: SENSOR_SIZE, cache, settings, scheduler=scheduler)


@contextmanager
def clusters() -> Iterator[Clusters]:
    """Addresses of a dask cluster of one worker process and of one of two.

    Started before anything is timed: that takes seconds, once a run, whatever the amount of data.
    """
    from dask.distributed import LocalCluster

    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(n_workers=1, **options) as one, LocalCluster(n_workers=2, **options) as two:
        yield {1: one.scheduler_address, 2: two.scheduler_address}


def peak_mb(root: Path, preset: str) -> float:
    """Largest resident memory of a fresh process that voxelizes ``root``, MB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.voxelize", "--peak-of", str(root)]
        command += ["--preset", preset, "--work", folder]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@click.command()
@click.option("--quick", is_flag=True, help="Fewer windows and one repetition.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--work", type=click.Path(path_type=Path), default="build/benchmarks")
@click.option("--peak-of", type=click.Path(path_type=Path), hidden=True)
@click.option("--preset", default="release", hidden=True)
def main(quick: bool, as_json: bool, work: Path, peak_of: Path | None, preset: str) -> None:
    """Print how fast shards become a cache, as ratios."""
    if peak_of:
        build(walk_release(peak_of), work / "peak", preset)
        click.echo(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
        return
    work.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {}
    shards = {"20k": 12, "200k": 6, "1M": 2} if quick else {"20k": 60, "200k": 24, "1M": 8}
    with clusters() as addresses:
        for name, rate in RATES.items():
            root = simulated_release(work, rate, recordings=2, shards=shards[name])
            for kind in ("release", "paper"):
                # Quick: scaling for the headline only.
                scaling = addresses if not quick or (kind, name) == MAIN else None
                figures = measure(root, work, kind, 1 if quick else 5, scaling)
                if (kind, name) == MAIN:
                    result.update(figures)
                result.setdefault(kind, {})[name] = figures
                click.echo(f"{kind} {name} done", err=True)
    click.echo(json.dumps(result, indent=2) if as_json else table(result))


def table(result: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    names = list(result["release"]["200k"])
    columns = [(kind, rate) for kind in ("release", "paper") for rate in RATES]
    lines = ["| | " + " | ".join(f"{kind} {rate}" for kind, rate in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name in names:
        cells = [result[kind][rate][name] for kind, rate in columns]
        lines.append(f"| {name} | " + " | ".join(number(cell) for cell in cells) + " |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    main()
