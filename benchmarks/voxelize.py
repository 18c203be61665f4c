"""How fast shards become a cache: `python -m benchmarks.voxelize [--quick] [--json]`.

Each figure is a ratio of medians of interleaved repetitions in this run. The floor is inflating the
same npz members with a CRC check, by the fastest well-kept library (ISA-L); the baseline is the
released loader's own work on the same windows. A run in one process has a second thread that reads and
hashes the next shard, which the floor does not have; the workers of a cluster do without.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
from distributed import Client, LocalCluster

from benchmarks.release_loader import load_window
from benchmarks.shards import RATES, event_files, simulated_release, source_bytes
from benchmarks.timing import in_turn, median
from pipeline.cache.settings import CacheSettings
from pipeline.release.members import read_events
from pipeline.release.npz import NpzFile
from pipeline.release.shards import SENSOR_SIZE, RecordingFiles, walk_release
from pipeline.voxelizing.run import voxelize

Clusters = dict[int, str]  # scheduler addresses by number of workers
PRESETS = {
    "release": CacheSettings(preset="release"),
    "paper": CacheSettings(preset="paper"),
    "paper, 256 steps": CacheSettings(preset="paper", time_steps=256),
}
MAIN = ("release", "200k")  # what the top-level keys hold
BASELINE_EVENTS = 2_000_000  # the baseline is slow: this takes it two seconds


def measure(
    root: Path, work: Path, repetitions: int, addresses: Clusters | None
) -> dict[str, dict[str, Any]]:
    """Every figure of every preset for one release, all taken in turn.

    ``addresses`` of the clusters to measure scaling on (preset ``release``); None leaves scaling and
    memory out.
    """
    recordings = walk_release(root)
    files = event_files(recordings)
    windows = 10 * len(files)
    events = len(files) * events_in(files[0])  # the others are copies of it
    baseline_windows = baseline_windows_of(files[0])

    def release_loader() -> None:
        for member in range(baseline_windows):
            load_window(files[0], member)

    parts: dict[str, Callable[[], object]] = {
        "release loader": release_loader,
        "inflate": lambda: inflate(files),
    }
    for name, settings in PRESETS.items():
        parts[name] = partial(build, recordings, work / name, settings)
    for workers, address in (addresses or {}).items():
        parts[f"dask {workers}"] = partial(
            build, recordings, work / "dask", PRESETS["release"], address
        )
        parts[f"dask {workers} inflate"] = partial(inflate_on, address, recordings)
    seconds = {name: median(times) for name, times in in_turn(repetitions, **parts).items()}

    baseline = seconds["release loader"] * windows / baseline_windows
    figures: dict[str, dict[str, Any]] = {}
    for name in PRESETS:
        stored = sum(p.stat().st_size for p in (work / name).rglob("*") if p.is_file())
        figures[name] = {
            "events_per_window": round(events / windows),
            "windows": windows,
            "voxelize_vs_release_loader": baseline / seconds[name],
            "voxelize_share_of_inflate_floor": seconds["inflate"] / seconds[name],
            "two_worker_scaling": None,
            "two_worker_scaling_of_inflate": None,
            "peak_mb_per_worker": peak_mb(root, name) if addresses else None,
            "cache_to_source_bytes": stored / source_bytes(recordings),
            "voxelize_events_per_s": events / seconds[name],
            "release_loader_events_per_s": events / baseline,
            "inflate_events_per_s": events / seconds["inflate"],
        }
    if addresses:
        for what in ("", " inflate"):
            key = "two_worker_scaling" + what.replace(" ", "_of_")
            figures["release"][key] = seconds[f"dask 1{what}"] / seconds[f"dask 2{what}"]
    return figures


def events_in(shard: Path) -> int:
    """Events of all windows of an event file."""
    file = NpzFile(shard)
    return sum(len(read_events(file, member)) for member in range(10))


def baseline_windows_of(shard: Path) -> int:
    """How many of a shard's windows the slow baseline is timed on."""
    return min(10, 1 + 10 * BASELINE_EVENTS // events_in(shard))


def inflate(files: list[Path]) -> None:
    """The floor: every member of some files, CRC checked."""
    for path in files:
        file = NpzFile(path)
        for member in range(10):
            file.read(f"e{member}")


def inflate_on(address: str, recordings: list[RecordingFiles]) -> None:
    """The floor of a cluster: inflating alone, a task for each recording."""
    with Client(address) as client:
        client.gather(client.map(inflate, [event_files([r]) for r in recordings], pure=False))


def build(
    recordings: list[RecordingFiles],
    cache: Path,
    settings: CacheSettings,
    scheduler: str | None = None,
) -> None:
    """Npz to published cache, from nothing, in this process or on a cluster."""
    shutil.rmtree(cache, ignore_errors=True)
    voxelize(recordings, lambda recording: SENSOR_SIZE, cache, settings, scheduler=scheduler)


@contextmanager
def clusters() -> Iterator[Clusters]:
    """Addresses of a dask cluster of one worker process and of one of two.

    Started before anything is timed: that takes seconds, once a run, whatever the amount of data.
    """
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
@click.option("--quick", is_flag=True, help="Within a minute: fewer windows, one repetition.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--work", type=click.Path(path_type=Path), default="build/benchmarks")
@click.option("--peak-of", type=click.Path(path_type=Path), hidden=True)
@click.option("--preset", default="release", hidden=True)
def main(quick: bool, as_json: bool, work: Path, peak_of: Path | None, preset: str) -> None:
    """Print how fast shards become a cache, as ratios."""
    if peak_of:
        build(walk_release(peak_of), work / "peak", PRESETS[preset])
        # Not getrusage: its maximum is that of the process that started this one, if larger.
        status = Path("/proc/self/status").read_text()
        click.echo(int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6)
        return
    work.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {}
    shards = {"20k": 12, "200k": 4, "1M": 1} if quick else {"20k": 60, "200k": 48, "1M": 8}
    with clusters() as addresses:
        for rate, events in RATES.items():
            root = simulated_release(work, events, recordings=2, shards=shards[rate])
            # Quick: scaling and memory for the headline only.
            scaling = addresses if not quick or rate == MAIN[1] else None
            for preset_name, figures in measure(root, work, 1 if quick else 3, scaling).items():
                result.setdefault(preset_name, {})[rate] = figures
            click.echo(f"{rate} done", err=True)
    result = {**result[MAIN[0]][MAIN[1]], **result}
    click.echo(json.dumps(result, indent=2) if as_json else table(result))


def table(result: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    presets = [key for key, value in result.items() if isinstance(value, dict)]
    names = list(result[MAIN[0]][MAIN[1]])
    columns = [(preset, rate) for preset in presets for rate in RATES]
    lines = ["| | " + " | ".join(f"{preset} {rate}" for preset, rate in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name in names:
        cells = [result[preset][rate][name] for preset, rate in columns]
        lines.append(f"| {name} | " + " | ".join(number(cell) for cell in cells) + " |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    main()
