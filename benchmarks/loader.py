"""How fast a cache feeds training: `python -m benchmarks.loader [--quick] [--json]`.

A sample is ten consecutive windows at a random place of a recording. The baseline is the released
loader's work on the same windows; the floor is decompressing the chunks a sample touches, read from
the page cache, and nothing else.
"""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from numcodecs import blosc

from benchmarks.release_loader import load_window
from benchmarks.shards import RATES, event_files, simulated_release
from benchmarks.timing import in_turn, median
from benchmarks.voxelize import MAIN, PRESETS, baseline_windows_of, build, table
from dmanet.data.batches import collate
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.release.shards import walk_release

WINDOWS = 10
ARRAYS = ("pillars", "points")  # what a sample reads; batch_id is for people


def measure(root: Path, cache_path: Path, preset: str, repetitions: int) -> dict[str, Any]:
    """Every figure for one release and preset."""
    recordings = walk_release(root)
    build(recordings, cache_path, PRESETS[preset])
    cache = PillarCache(cache_path)
    opened = cache.recordings()
    rng = np.random.default_rng(5)
    places = [
        (opened[rng.integers(len(opened))], int(rng.integers(len(opened[0]) - WINDOWS + 1)))
        for _ in range(8)
    ]
    shard = event_files(recordings)[0]
    turns = {name: itertools.cycle(places) for name in ("read", "decode", "floor")}
    baseline_windows = baseline_windows_of(shard)

    def release_loader() -> None:
        for member in range(baseline_windows):
            load_window(shard, member)

    def read() -> None:
        recording, first = next(turns["read"])
        collate([recording.read(first, first + WINDOWS)])

    def decode() -> None:
        recording, first = next(turns["decode"])
        sample = recording.read(first, first + WINDOWS)
        for window in range(WINDOWS):
            sample.tensors(window, 0)
            sample.tensors(window, 1)

    def floor() -> None:
        recording, first = next(turns["floor"])
        for path in chunks_of(cache_path, recording, first):
            blosc.decompress(path.read_bytes())

    fast = in_turn(repetitions * len(places), read=read, decode=decode, floor=floor)
    slow = median(in_turn(max(1, repetitions // 2), release=release_loader)["release"])
    slow *= WINDOWS / baseline_windows
    seconds = {name: median(times) for name, times in fast.items()}
    return {
        "loader_vs_release_loader": slow / seconds["read"],
        "loader_decoded_vs_release_loader": slow / seconds["decode"],
        "loader_share_of_floor": seconds["floor"] / seconds["read"],
        "sample_open_ms": 1000 * open_seconds(cache_path),
        "loader_windows_per_s": WINDOWS / seconds["read"],
        "loader_decoded_windows_per_s": WINDOWS / seconds["decode"],
        "release_loader_windows_per_s": WINDOWS / slow,
    }


def chunks_of(cache: Path, recording: CachedRecording, first: int) -> list[Path]:
    """The chunk files that hold a sample's pillars and points."""
    offsets = recording.table("offsets")[[2 * first, 2 * (first + WINDOWS)]]
    chunks = []
    for (start, stop), name in zip(offsets.T.tolist(), ARRAYS, strict=True):
        (rows,) = recording.array(name).chunks
        folder = cache / recording.id / name / "c"
        chunks += [folder / str(chunk) for chunk in range(start // rows, -(-stop // rows))]
    return chunks


def open_seconds(cache_path: Path) -> float:
    """A sample from a cache that was not open before: the cost of the first one."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        cache = PillarCache(cache_path)
        cache.recording(cache.recording_ids[0]).read(0, WINDOWS)
        times.append(time.perf_counter() - began)
    return median(times)


@click.command()
@click.option("--quick", is_flag=True, help="Within a minute: fewer windows and repetitions.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--work", type=click.Path(path_type=Path), default="build/benchmarks")
def main(quick: bool, as_json: bool, work: Path) -> None:
    """Print how fast a cache feeds training, as ratios."""
    blosc.set_nthreads(1)
    work.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {}
    shards = {"20k": 12, "200k": 4, "1M": 2} if quick else {"20k": 60, "200k": 48, "1M": 8}
    for rate, events in RATES.items():
        root = simulated_release(work, events, recordings=2, shards=shards[rate])
        for preset in PRESETS:
            figures = measure(root, work / f"loader-{preset}", preset, 2 if quick else 6)
            result.setdefault(preset, {})[rate] = figures
        click.echo(f"{rate} done", err=True)
    result = {**result[MAIN[0]][MAIN[1]], **result}
    click.echo(json.dumps(result, indent=2) if as_json else table(result))


if __name__ == "__main__":
    main()
