"""Simulated shards for the benchmarks, made once and kept."""

import shutil
from pathlib import Path

from pipeline.files.whole import folder_written_whole
from pipeline.release.shards import RecordingFiles, walk_release
from pipeline.simulation.recordings import SimulationSettings, simulate_release

RATES = {"20k": 20_000, "200k": 200_000, "1M": 1_000_000}


def simulated_release(folder: Path, rate: int, recordings: int, shards: int) -> Path:
    """A release of ``recordings`` with ``shards`` shards each, at about ``rate`` events a window.

    One shard is simulated at full size; the others are copies of it under other numbers: they cost
    what any shard costs, and making them does not take the benchmark's time.
    """
    root = folder / f"release-{rate}-{recordings}x{shards}"
    if root.exists():
        return root
    one = folder / f"one-{rate}"
    if not one.exists():
        settings = SimulationSettings(
            rate=rate, seconds=0.5, recordings={"train": 1}, objects=12, seed=3
        )
        simulate_release(one, settings)
    (source,) = walk_release(one)
    with folder_written_whole(root) as building:
        for recording in range(recordings):
            for shard in range(1, shards + 1):
                for kind, path in (
                    ("ev", source.shards[0].events),
                    ("lb", source.shards[0].labels),
                ):
                    assert path is not None
                    folder_name = "events" if kind == "ev" else "labels"
                    target = building / f"train/trainfilelist00/{folder_name}/copy_{recording:02d}"
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target / f"{kind}{shard:03d}.npz")
    return root


def event_files(recordings: list[RecordingFiles]) -> list[Path]:
    """Every event file of some recordings."""
    return [s.events for r in recordings for s in r.shards if s.events is not None]


def source_bytes(recordings: list[RecordingFiles]) -> int:
    """Bytes of every file of some recordings."""
    return sum(
        path.stat().st_size
        for r in recordings
        for s in r.shards
        for path in (s.events, s.labels)
        if path is not None
    )
