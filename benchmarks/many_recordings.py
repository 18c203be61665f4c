"""What many recordings cost before any work begins: `python -m benchmarks.many_recordings`.

A cache of 880 recordings (`--quick`: 88) of 320 windows with few events each, copies of one simulated
recording under ids, attributes and digests of their own. `info`, `stats`, and `dmanet train` until it
has its first batch are run as a user runs them, each in a process of its own, in turn with their floors:

- info: reading every zarr.json, and listing every folder with its files' sizes;
- stats: that, reading and decompressing every table, and importing what draws;
- train: importing torch and the trainer, and reading the zarr.json of every recording.

Seconds are of the processor, medians of three, with the start of the process.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numcodecs import blosc

SECONDS = 16.0  # 320 windows of 50 ms
RATE = 300  # events a window
GRID = (128, 128)  # of the preset tiny


def many_recordings(work: Path, count: int) -> Path:
    """A cache of ``count`` recordings, made once and kept."""
    # Here, because the floors start without all this.
    from pipeline.cache import records
    from pipeline.cache.attributes import recording_attributes
    from pipeline.cache.settings import CacheSettings
    from pipeline.files.whole import folder_written_whole
    from pipeline.release.shards import walk_release
    from pipeline.simulation.recordings import SimulationSettings, simulate_release
    from pipeline.voxelizing.run import voxelize

    cache = work / f"many-{count}"
    if cache.exists():
        return cache
    release, one = work / "many-release", work / "many-one"
    if not release.exists():
        simulation = SimulationSettings(rate=RATE, seconds=SECONDS, recordings={"train": 1}, seed=5)
        simulate_release(release, simulation)
    (files,) = walk_release(release)
    voxelize([files], lambda recording: (1280, 720), one, CacheSettings(grid=GRID))
    attributes = recording_attributes(one / files.id)
    with folder_written_whole(cache) as building:
        shutil.copyfile(one / "zarr.json", building / "zarr.json")
        for number in range(count):
            split = ("train", "train", "train", "val", "test")[number % 5]
            key = f"{split}/{split}filelist{number % 20:02d}/rec_{number:04d}"
            shutil.copytree(one / files.id, building / key)
            own: dict[str, Any] = {**attributes, "recording": key}
            own["digest"] = records.attributes_digest(own)
            (building / key / "zarr.json").write_bytes(records.group_document(own))
    return cache


def floor_of_info(cache: Path) -> None:
    """Read every zarr.json, list every folder."""
    for path, size in _files(str(cache)):
        assert size >= 0
        if path.endswith("/zarr.json"):
            _read(path)


def floor_of_stats(cache: Path) -> None:
    """The same, and decompress every table."""
    import matplotlib.figure  # noqa: F401

    for path, _ in _files(str(cache)):
        data = _read(path) if not path.endswith(("/pillars/c/0", "/points/c/0")) else b""
        if path.endswith("/c/0/0"):
            decoded = np.empty(int.from_bytes(data[4:8], "little"), np.uint8)
            blosc.decompress(data[:-4], decoded)


def floor_of_train(cache: Path) -> None:
    """Import what trains, read every recording's zarr.json."""
    import dmanet.training.loop  # noqa: F401

    for recording in cache.glob("*/*/*/zarr.json"):
        _read(str(recording))


def train_until_its_first_batch(cache: Path) -> None:
    """Set up a run as `dmanet train --preset tiny` does, and read one batch."""
    import torch

    from dmanet.data.fitting import recordings_of
    from dmanet.ranks import ALONE
    from dmanet.recipes import resolve_settings
    from dmanet.training.run import begin_run
    from dmanet.training.watcher import TrainingWatcher
    from pipeline.cache.reader import PillarCache

    run_dir = cache.parent / "many-run"
    shutil.rmtree(run_dir, ignore_errors=True)
    opened, settings = PillarCache(cache), resolve_settings("tiny")
    recordings_of(opened, "train")
    run = begin_run(
        opened, settings, run_dir, torch.device("cpu"), 0, False, TrainingWatcher(), ALONE
    )
    next(run.batches_left())


def _files(folder: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            else:
                yield entry.path, entry.stat().st_size


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def commands(cache: Path) -> dict[str, list[str]]:
    """What is run, as arguments of Python."""
    own = "from pathlib import Path; from benchmarks import many_recordings as m; "
    data = "from cli.data import main; main()"
    report = str(cache.parent / "many.html")
    return {
        "info": ["-c", data, "info", str(cache), "--json"],
        "info_floor": ["-c", f"{own} m.floor_of_info(Path({str(cache)!r}))"],
        "stats": ["-c", data, "stats", str(cache), "-o", report, "--quiet"],
        "stats_2_workers": [
            "-c",
            data,
            "stats",
            str(cache),
            "-o",
            report,
            "--quiet",
            "--workers=2",
        ],
        "stats_floor": ["-c", f"{own} m.floor_of_stats(Path({str(cache)!r}))"],
        "train_ready": ["-c", f"{own} m.train_until_its_first_batch(Path({str(cache)!r}))"],
        "train_floor": ["-c", f"{own} m.floor_of_train(Path({str(cache)!r}))"],
        "start_of_python": ["-c", own],
    }


def run(arguments: list[str]) -> tuple[float, float]:
    """Seconds of the processor, children included, and of the clock."""
    code = (
        "import os, subprocess, sys, time; began = time.perf_counter(); "
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "used = os.times(); print(used.children_user + used.children_system, "
        "time.perf_counter() - began)"
    )
    line = [sys.executable, "-c", code, sys.executable, *arguments]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    cpu, wall = map(float, done.stdout.split())
    return cpu, wall


@click.command()
@click.option("--quick", is_flag=True, help="Within a minute: 88 recordings, once.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--work", type=click.Path(path_type=Path), default="build/benchmarks")
def main(quick: bool, as_json: bool, work: Path) -> None:
    """Print what many recordings cost, beside their floors."""
    work.mkdir(parents=True, exist_ok=True)
    cache = many_recordings(work, 88 if quick else 880)
    lines = commands(cache)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in lines}
    for _ in range(1 if quick else 3):
        for name, arguments in lines.items():
            times[name].append(run(arguments))
    result = {
        name: {
            "cpu_s": statistics.median(cpu for cpu, _ in pairs),
            "wall_s": statistics.median(wall for _, wall in pairs),
        }
        for name, pairs in times.items()
    }
    for name, row in result.items():
        floor = result.get(f"{name.split('_')[0]}_floor")
        if floor is not None and not name.endswith("_floor"):
            row["vs_floor"] = row["cpu_s"] / floor["cpu_s"]
    click.echo(json.dumps(result, indent=2) if as_json else table(result))


def table(result: dict[str, dict[str, float]]) -> str:
    """The figures as a Markdown table."""
    columns = ("cpu_s", "wall_s", "vs_floor")
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in result.items():
        cells = [f"{row[column]:.3g}" if column in row else "–" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
