"""Where the time of voxelizing goes: `python -m benchmarks.voxelize_profile [--json]`.

One run of each preset under Python's profiler at 200 k events a window, its functions' own times summed
by part. The profiler slows Python code and no compiled loop: `bookkeeping` is less than it says. The
thread that reads and hashes the next shard is not in it, only what is waited for.
"""

import cProfile
import json
import pstats
import shutil
from pathlib import Path

import click

from benchmarks.shards import RATES, simulated_release
from benchmarks.voxelize import PRESETS, build
from pipeline.release.shards import walk_release

#: Parts by what a function's file and name contain; the first that fits counts.
PARTS = {
    "inflating, with CRC": ("isal",),
    "kernels: events to pillars": ("packing_kernels.py",),
    "compressing and writing chunks": ("blosc", "Blosc", "BufferedWriter", "chunks.py", "crc32c"),
    "joining rows": ("concatenate", "numeric.py", "astype"),
    "waiting for shards; metadata, digests, sync": (
        *("zarr", "lock", "fsync", "posix", "threading"),
        *("_hashlib", "sha256", "BufferedReader"),
    ),
    "labels": ("labels.py",),
}
REST = "bookkeeping"


def shares(preset: str, recordings: list, cache: Path) -> dict[str, float]:
    """Share of each part in one run."""
    build(recordings, cache, PRESETS[preset])  # compiled, and in the page cache
    shutil.rmtree(cache)
    profile = cProfile.Profile()
    profile.runcall(build, recordings, cache, PRESETS[preset])
    seconds = dict.fromkeys([*PARTS, REST], 0.0)
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, function), (_, _, own, _, _) in stats.items():
        where = f"{file} {function}"
        part = next((p for p, marks in PARTS.items() if any(m in where for m in marks)), REST)
        seconds[part] += own
    total = sum(seconds.values())
    return {part: value / total for part, value in seconds.items()}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--work", type=click.Path(path_type=Path), default="build/benchmarks")
def main(as_json: bool, work: Path) -> None:
    """Print each part's share of a run, by preset."""
    work.mkdir(parents=True, exist_ok=True)
    root = simulated_release(work, RATES["200k"], recordings=2, shards=24)
    recordings = walk_release(root)
    result = {preset: shares(preset, recordings, work / "profile") for preset in PRESETS}
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    click.echo("| | " + " | ".join(result) + " |")
    click.echo("|---" * (len(result) + 1) + "|")
    for part in (*PARTS, REST):
        row = " | ".join(f"{found[part]:.2f}" for found in result.values())
        click.echo(f"| {part} | {row} |")


if __name__ == "__main__":
    main()
