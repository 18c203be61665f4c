"""How fast a release is scanned: `python -m benchmarks.scan [--quick] [--json]`.

The label shards of a whole release (880 recordings of 32 shards, `--quick`: 40) are scanned in one
process, and a few shards with events. The floor is to open and read the same files and to inflate their
members, from the page cache, with their places known beforehand. `update` is a scan that finds nothing
changed. Times are of the processor, because others may use it too; each figure is a median of three runs
taken in turn.
"""

import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from isal import isal_zlib

from benchmarks.shards import RATES, simulated_release
from pipeline.files.whole import folder_written_whole
from pipeline.release.npz import EVENT_BOUNDS
from pipeline.release.shards import LABEL_DTYPE, WINDOW_US, WINDOWS_PER_SHARD, walk_release
from pipeline.release.zip_directory import packed_bytes, read_directory
from pipeline.selection.scan import scan_release

SHARDS = 32
VARIANTS = 32  # of label shards; the others are copies of them
Places = list[tuple[Path, list[slice]]]


def label_release(work: Path, recordings: int) -> Path:
    """A release of label shards alone, with no to eight boxes a window."""
    root = work / f"labels-{recordings}"
    if root.exists():
        return root
    rng = np.random.default_rng(1)
    shards = [_label_shard(rng, number) for number in range(1, VARIANTS + 1)]
    with folder_written_whole(root) as building:
        for recording in range(recordings):
            split = ("train", "train", "train", "val", "test")[recording % 5]
            name = f"{split}/{split}filelist{recording % 20:02d}/labels/rec_{recording:04d}"
            (building / name).mkdir(parents=True)
            for number in range(1, SHARDS + 1):
                (building / name / f"lb{number:03d}.npz").write_bytes(shards[number - 1])
    return root


def _label_shard(rng: np.random.Generator, number: int) -> bytes:
    windows = {}
    for window in range(WINDOWS_PER_SHARD):
        boxes = np.zeros(int(rng.integers(0, 9)), LABEL_DTYPE)
        boxes["t"] = (number * WINDOWS_PER_SHARD + window) * WINDOW_US + 100
        boxes["x"], boxes["y"] = rng.uniform(0, 1000, len(boxes)), rng.uniform(0, 500, len(boxes))
        boxes["w"], boxes["h"] = rng.uniform(10, 270, len(boxes)), rng.uniform(10, 200, len(boxes))
        boxes["class_id"], boxes["class_confidence"] = rng.integers(0, 7, len(boxes)), 1
        windows[f"l{window}"] = boxes
    stream = io.BytesIO()
    np.savez_compressed(stream, **windows)
    return stream.getvalue()


def places_of(root: Path, kinds: tuple[str, ...]) -> Places:
    """Every file of these kinds, and where its members' packed bytes are."""
    places = []
    for recording in walk_release(root):
        for shard in recording.shards:
            for kind in kinds:
                path = getattr(shard, kind)
                data = path.read_bytes()
                where = []
                for member in read_directory(data):
                    packed = len(packed_bytes(data, member))
                    where.append(slice(member.end - packed, member.end))
                places.append((path, where))
    return places


def floor(places: Places) -> None:
    """Open, read, inflate."""
    for path, members in places:
        with open(path, "rb") as file:
            data = file.read(EVENT_BOUNDS.file)
        for place in members:
            isal_zlib.decompress(data[place], wbits=-15)


def cpu_in_turn(repetitions: int, **parts: Callable[[], object]) -> dict[str, float]:
    """Median seconds of the processor of each part, run in turn, after one warm-up each."""
    for part in parts.values():
        part()
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repetitions):
        for name, part in parts.items():
            began = time.process_time()
            part()
            seconds[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure(root: Path, work: Path, repetitions: int, *, labels_only: bool) -> dict[str, Any]:
    """Milliseconds a shard of a scan, of one that finds nothing changed, and of the floor."""
    places = places_of(root, ("labels",) if labels_only else ("events", "labels"))
    record = work / f"{root.name}.scan"
    seconds = cpu_in_turn(
        repetitions,
        scan=lambda: scan_release(root, labels_only=labels_only),
        update=lambda: scan_release(root, labels_only=labels_only, record=record),
        floor=lambda: floor(places),
    )
    shards = len({path.name[2:] + str(path.parent.name) for path, _ in places})
    return {
        "shards": shards,
        **{f"{name}_ms_a_shard": 1000 * s / shards for name, s in seconds.items()},
        "scan_vs_floor": seconds["scan"] / seconds["floor"],
    }


@click.command()
@click.option("--quick", is_flag=True, help="Within a minute: a twentieth of the recordings.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--work", type=click.Path(path_type=Path), default="build/benchmarks")
def main(quick: bool, as_json: bool, work: Path) -> None:
    """Print how fast a release is scanned, beside reading and inflating it."""
    work.mkdir(parents=True, exist_ok=True)
    releases = {
        "labels only": label_release(work, 40 if quick else 880),
        "events 20k": simulated_release(
            work, RATES["20k"], recordings=1, shards=4 if quick else 64
        ),
        "events 200k": simulated_release(
            work, RATES["200k"], recordings=1, shards=2 if quick else 16
        ),
    }
    result = {
        name: measure(root, work, 3, labels_only=name == "labels only")
        for name, root in releases.items()
    }
    click.echo(json.dumps(result, indent=2) if as_json else table(result))


def table(result: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = [f"| | {' | '.join(result)} |", "|---" * (len(result) + 1) + "|"]
    for name in next(iter(result.values())):
        cells = [row[name] for row in result.values()]
        lines.append(f"| {name} | " + " | ".join(_number(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


if __name__ == "__main__":
    main()
