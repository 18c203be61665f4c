"""What the checks of boxes cost a scan: `python -m benchmarks.label_checks [--quick] [--json]`.

Each figure is a ratio of processor times, medians of interleaved repetitions in this run: a scan as it
is over a scan that looks at no box beside another, at the release's 200 000 events a window, and of the
label files alone. The windows of the one recording follow each other, as the offset needs them.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unittest import mock

import click

from benchmarks.timing import median
from pipeline.selection import scan
from pipeline.selection.entries import LabelCheckEntry
from pipeline.simulation.recordings import SimulationSettings, simulate_release


class NoChecks:
    """In the place of :class:`pipeline.selection.box_scan.BoxScan`: looks at nothing."""

    def __init__(
        self, sensor: tuple[int, int], classes: Sequence[str], *, labels_only: bool
    ) -> None:
        pass

    def add(self, *window: object) -> None:
        """Look at no window."""

    def entry(self) -> LabelCheckEntry:
        """Nothing was found."""
        return LabelCheckEntry({}, None, ())


def without_checks(root: Path, labels_only: bool) -> None:
    """A scan as it was before there were checks."""
    with mock.patch.object(scan, "BoxScan", NoChecks):
        scan.scan_release(root, labels_only=labels_only)


@click.command()
@click.option("--quick", is_flag=True, help="Fewer windows and repetitions.")
@click.option("--json", "as_json", is_flag=True)
def main(quick: bool, as_json: bool) -> None:
    """Print what the checks cost."""
    seconds, repetitions = (1.0, 5) if quick else (2.5, 21)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "release"
        settings = SimulationSettings(seed=3, seconds=seconds, recordings={"train": 1})
        simulate_release(root, settings)
        parts = {}
        for name, labels_only in (("all", False), ("labels", True)):
            parts[name] = partial(scan.scan_release, root, labels_only=labels_only)
            parts[f"{name}, no checks"] = partial(without_checks, root, labels_only)
        spent: dict[str, list[float]] = {name: [] for name in parts}
        for _ in range(repetitions):
            for name, part in parts.items():
                began = time.process_time()
                part()
                spent[name].append(time.process_time() - began)
        times = {name: median(values) for name, values in spent.items()}
    windows = 10 * settings.shards
    figures = {
        "windows": windows,
        "scan_vs_no_checks": times["all"] / times["all, no checks"],
        "ms_a_window": 1e3 * (times["all"] - times["all, no checks"]) / windows,
        "labels_only_vs_no_checks": times["labels"] / times["labels, no checks"],
        "labels_only_ms_a_shard": 1e4 * (times["labels"] - times["labels, no checks"]) / windows,
    }
    if as_json:
        click.echo(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        click.echo(f"{name:<28} {value:.3g}")


if __name__ == "__main__":
    main()
