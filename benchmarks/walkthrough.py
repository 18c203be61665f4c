"""The commands of docs/your-data.md and docs/dlut.md, run as they stand on simulated recordings.

``python -m benchmarks.walkthrough`` prints for each command its time and what it wrote. Training is
that of the preset ``tiny`` for a few steps: what is timed is the way, not the learning.
"""

import contextlib
import io
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from cli.data import main as data
from cli.main import main as network
from pipeline.release.shards import LABEL_DTYPE, walk_release
from pipeline.text import duration, size

ROOT = Path(__file__).parents[1]
PAGES = ("your-data", "dlut")
#: What `train` gets besides what the page says, so that a CPU is done soon.
FEW_STEPS = (
    *("--preset", "tiny", "--set", "model.grid_size=[512,512]", "--set", "model.stem_width=8"),
    *("--set", "model.feature_size=8", "--set", "training.epochs=1", "--set", "training.steps=2"),
    *("--set", "training.batch_size=1", "--device", "cpu"),
)


@dataclass(frozen=True)
class Ran:
    """One command: its words as the page has them, how long it took, bytes that it wrote."""

    section: str
    words: str
    seconds: float
    written: int


def commands_of(page: str) -> list[tuple[str, str]]:
    """Every command of a page's bash blocks, with the heading it stands under."""
    section, found, inside = "", [], False
    for line in (ROOT / "docs" / f"{page}.md").read_text().splitlines():
        if line.startswith("```"):
            inside = line == "```bash"
        elif line.startswith("#"):
            section = line.lstrip("# ")
        elif inside and line.startswith("dmanet"):
            found.append((section, line))
    return found


def walk(page: str, seconds: float, rate: int) -> Iterator[Ran]:
    """Run a page's commands in the current folder, which is empty.

    Args:
        page: one of :data:`PAGES`.
        seconds: length of the simulated recordings.
        rate: events of a window.
    """
    _PREPARED[page](seconds, rate)
    for section, line in commands_of(page):
        program, *words = line.split()
        if words[0] == "train":
            words += FEW_STEPS
        if words[0] == "info":
            words.append("--json")
        before = _bytes_here()
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            command = data if program == "dmanet-data" else network
            code = command.main([*words], program, standalone_mode=False)
        if code:
            raise RuntimeError(f"{line}: exit code {code}")
        yield Ran(section, line, time.perf_counter() - began, _bytes_here() - before)


def _bytes_here() -> int:
    return sum(path.lstat().st_size for path in Path().rglob("*") if path.is_file())


def _prepare_release(seconds: float, rate: int) -> None:
    _simulate("prophesee_dlut", "1280x720", seconds, rate)
    shutil.copytree(ROOT / "data_manifests", "data_manifests")


def _simulate(out: str, sensor: str, seconds: float, rate: int) -> None:
    words = ["simulate", out, "--size", sensor, "--rate", str(rate), "--seconds", str(seconds)]
    words += ["--recordings", "train=2,val=1,test=1", "--classes", "car,pedestrian", "--quiet"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        data.main(words, "dmanet-data", standalone_mode=False)


def _prepare_recordings(seconds: float, rate: int) -> None:
    """Gen1's folder, and a RAW file, from a simulated release."""
    _simulate("simulated", "304x240", seconds, rate)
    for files in walk_release(Path("simulated")):
        events, boxes = [], []
        for shard in files.shards:
            with np.load(shard.events) as arrays:  # type: ignore[arg-type]
                events += [arrays[f"e{k}"] for k in range(10)]
            with np.load(shard.labels) as arrays:  # type: ignore[arg-type]
                boxes += [arrays[f"l{k}"] for k in range(10)]
        folder = Path("gen1", files.split)
        folder.mkdir(parents=True, exist_ok=True)
        write_dat(folder / f"{files.name}_td.dat", np.concatenate(events))
        records = np.concatenate([*boxes, np.empty(0, LABEL_DTYPE)])
        records["class_id"] = np.where(records["class_id"] == 2, 0, 1)  # car, pedestrian
        np.save(folder / f"{files.name}_bbox.npy", records)
    write_raw(Path("drive.raw"), np.concatenate(events))
    shutil.rmtree("simulated")


def _packed(events: np.ndarray) -> dict[str, np.ndarray]:
    return {name: events[name].astype(np.uint32) for name in "txyp"}


def write_dat(path: Path, events: np.ndarray) -> None:
    field = _packed(events)
    words = np.stack([field["t"], field["x"] | field["y"] << 14 | field["p"] << 28], axis=1)
    header = b"% Width 304\n% Height 240\n% Version 2\n\x0c\x08"
    path.write_bytes(header + words.astype("<u4").tobytes())


def write_raw(path: Path, events: np.ndarray) -> None:
    """EVT 2.0: a word of the high time before every event is more than a camera writes, and allowed."""
    field = _packed(events)
    high = 8 << 28 | field["t"] >> 6
    event = field["p"] << 28 | (field["t"] & 63) << 22 | field["x"] << 11 | field["y"]
    words = np.stack([high, event], axis=1).astype("<u4")
    path.write_bytes(b"% evt 2.0\n% geometry 304x240\n% end\n" + words.tobytes())


_PREPARED: dict[str, Callable[[float, int], None]] = {
    "your-data": _prepare_recordings,
    "dlut": _prepare_release,
}


@click.command()
@click.option("--seconds", default=10.0, show_default=True, help="Length of a recording.")
@click.option("--rate", default=60_000, show_default=True, help="Events of a window, 1280x720.")
def main(seconds: float, rate: int) -> None:
    """Run both pages' commands and print a Markdown table for each section."""
    print(f"{os.cpu_count()} cores; four recordings of {seconds:g} s")
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            section = None
            for ran in walk(page, seconds, rate if page == "dlut" else rate // 12):
                if ran.section != section:
                    section = ran.section
                    print(f"\n{page}: {section}\n\n| command | time | written |\n|---|---|---|")
                verb = " ".join(re.sub(r" -.*", "", ran.words).split()[:2])
                print(f"| `{verb}` | {duration(ran.seconds)} | {size(ran.written)} |", flush=True)
    os.sync()


if __name__ == "__main__":
    main()
