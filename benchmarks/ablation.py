"""Which parts of DMANet earn their place: `python -m benchmarks.ablation [--quick] [--seeds N]`.

Simulates a release of all seven classes, puts it into caches of both presets, trains one recipe
with one thing changed at a time, and scores each network on held-out recordings by the protocol
`release`. What is done already is not done again: stopped, the same command goes on. The table is
that of `dmanet results`, read from the runs' files.
"""

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import click
import torch

from dmanet.device import choose_device, choose_precision
from dmanet.evaluation.evaluate import evaluate
from dmanet.evaluation.streaming import StreamSettings
from dmanet.recipes import RunSettings, resolve_settings
from dmanet.reporting.results import EVALUATION_NAME, RunResult, cache_presets, read_runs
from dmanet.reporting.tables import class_table, markdown, results_table
from dmanet.runs.run_files import LAST_NAME, SETTINGS_NAME
from dmanet.runs.weights import load_weights
from dmanet.training.loop import train
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.errors import UsageError
from pipeline.files.whole import written_whole
from pipeline.release.shards import walk_release
from pipeline.simulation.recordings import SimulationSettings, simulate_release
from pipeline.voxelizing.run import voxelize

PROTOCOL, SPLIT = "release", "test"
PRESETS = ("release", "paper")  # of the cache

#: How the memories begin in the release.
RELEASED = (
    "model.short_memory_init=released",
    "model.forget_bias=0",
    "model.candidate_init=released",
)


@dataclass(frozen=True)
class Arm:
    """One variant: the settings that it changes, and the preset of the cache that it reads."""

    overrides: tuple[str, ...] = ()
    cache: str = "release"


ARMS = {
    "adaptive": Arm(),
    "plain": Arm(("model.long_memory=plain",)),
    "no-long-memory": Arm(("model.long_memory=none",)),
    "no-short-memory": Arm(("model.short_memory=false",)),
    "no-memory": Arm(("model.long_memory=none", "model.short_memory=false")),
    "paper-cache": Arm(cache="paper"),
}


@dataclass(frozen=True)
class Scale:
    """How large everything is. ``preset`` and ``overrides`` are the recipe that all arms share.

    The memories begin as in the release; `benchmarks.memory` compares how they may begin.
    """

    simulation: SimulationSettings
    grid: int
    min_diagonal: float
    min_side: float
    preset: str
    overrides: tuple[str, ...] = ()

    def cache_settings(self, preset: str) -> CacheSettings:
        """Of the cache of one preset."""
        return CacheSettings(
            preset=preset,
            grid=(self.grid, self.grid),
            min_diagonal=self.min_diagonal,
            min_side=self.min_side,
        )

    def settings(self, arm: Arm, seed: int) -> RunSettings:
        """Of one run."""
        seeded = f"training.seed={seed}"
        overrides = (*RELEASED, *self.overrides, *arm.overrides, seeded)
        return resolve_settings(self.preset, None, overrides)


# Each class as often as any other, so that the rare ones have labels enough to be scored.
_EVENLY = (1.0,) * 7


def scale_of(model: str, quick: bool) -> Scale:
    """The scale of ``tiny`` (two CPU cores) or ``dmanet18`` (a GPU); ``quick`` only shows it works."""
    recordings = {"train": 2, "val": 1, "test": 1} if quick else {"train": 16, "val": 2, "test": 6}
    seconds = 1.0 if quick else 3.0
    if model == "tiny":
        simulation = SimulationSettings(
            seed=1,
            sensor=(640, 360),
            recordings=recordings,
            seconds=seconds,
            rate=5000 if quick else 25_000,
            objects=8,
            class_weights=_EVENLY,
        )
        # The release's sizes are for a sensor 1280 pixels wide; this one has half of that.
        shrunk = ("training.epochs=1",) if quick else ("training.epochs=8",)
        return Scale(simulation, 128, 30.0, 10.0, "tiny", shrunk)
    simulation = SimulationSettings(
        seed=1,
        recordings=recordings if quick else {"train": 48, "val": 4, "test": 12},
        seconds=seconds,
        rate=10_000 if quick else 200_000,
        class_weights=_EVENLY,
    )
    shrunk = ("training.epochs=1", "training.steps=2") if quick else ("training.epochs=10",)
    return Scale(simulation, 512, 60.0, 20.0, "default", shrunk)


def make_caches(
    out: Path, scale: Scale, processes: int, presets: Sequence[str] = PRESETS
) -> dict[str, Path]:
    """The simulated release and its cache of each preset below ``out``; what is there stays.

    Raises:
        UsageError: ``out`` holds another release.
    """
    release = out / "release"
    if release.exists():
        made = json.loads((release / "simulation.json").read_text())["settings"]
        if made != json.loads(json.dumps(scale.simulation.stated())):
            raise UsageError(f"{release}: was simulated with other settings; give another --out.")
    else:
        simulate_release(release, scale.simulation, processes=processes)
    caches = {}
    for preset in presets:
        caches[preset] = out / f"cache-{preset}"
        voxelize(
            walk_release(release),
            lambda key: scale.simulation.sensor,
            caches[preset],
            scale.cache_settings(preset),
            workers=processes,
        )
    return caches


def run_folder(out: Path, arm: str, seed: int) -> Path:
    """Where a run stands."""
    return out / f"{arm}-{seed}"


def check_settings(run_dir: Path, settings: RunSettings) -> bool:
    """Whether a run has begun there; what is kept of it is of these settings.

    Raises:
        UsageError: it is of others.
    """
    started = (run_dir / LAST_NAME).exists()
    if started and resolve_settings(config=run_dir / SETTINGS_NAME) != settings:
        raise UsageError(f"{run_dir}: holds a run of other settings; give another --out.")
    return started


def train_to_the_end(cache: Path, settings: RunSettings, run_dir: Path, device: str) -> None:
    """Train one network as far as that is not done yet.

    Raises:
        UsageError: ``run_dir`` holds a run of other settings.
    """
    started = check_settings(run_dir, settings)
    train(PillarCache(cache), settings, run_dir, device=choose_device(device), resume=started)


def make_run(cache: Path, settings: RunSettings, run_dir: Path, device: str) -> float:
    """Train and score one network, as far as that is not done yet; returns the seconds it took.

    Raises:
        UsageError: ``run_dir`` holds a run of other settings.
    """
    began = time.perf_counter()
    check_settings(run_dir, settings)
    result_file = run_dir / EVALUATION_NAME
    if result_file.exists():
        return 0.0
    train_to_the_end(cache, settings, run_dir, device)
    opened, place = PillarCache(cache), choose_device(device)
    stream = StreamSettings(place, choose_precision(settings.training.precision, place))
    result = evaluate(load_weights(run_dir / LAST_NAME), opened, PROTOCOL, SPLIT, stream)
    with written_whole(result_file) as unfinished:
        unfinished.write_text(result.to_json() + "\n", encoding="utf-8")
    return time.perf_counter() - began


def make_runs(
    caches: dict[str, Path], scale: Scale, out: Path, seeds: int, device: str, processes: int
) -> Iterator[tuple[Path, float]]:
    """Every arm with every seed; each run's folder and seconds as it is done, seed after seed."""
    context = multiprocessing.get_context("spawn")
    threads = 1 if device == "cpu" else torch.get_num_threads()
    with ProcessPoolExecutor(processes, context, torch.set_num_threads, (threads,)) as pool:
        pending = {}
        for seed in range(seeds):
            for name, arm in ARMS.items():
                run_dir = run_folder(out, name, seed)
                settings = scale.settings(arm, seed)
                work = pool.submit(make_run, caches[arm.cache], settings, run_dir, device)
                pending[work] = run_dir
        for work in as_completed(pending):
            yield pending[work], work.result()


def seeds_table(runs: Sequence[RunResult]) -> str:
    """One line for each arm, its seeds together: mean, and least to largest; Markdown.

    ``runs`` have one evaluation each, and their folders are named as :func:`run_folder` does.
    """
    measures = ("precision", "recall", "map50", "map50_95")
    lines = []
    for name in ARMS:
        mine = [run for run in runs if run.folder.name.rpartition("-")[0] == name]
        scores = [run.evaluations[0].result.rows[0] for run in mine]
        losses = [run.last_loss for run in mine if run.last_loss is not None]
        spans = [_span([getattr(row, measure) or 0.0 for row in scores]) for measure in measures]
        lines.append([name, str(len(mine)), str(mine[0].parameters), _span(losses), *spans])
    headers = ["arm", "seeds", "parameters", "loss, last epoch", "P", "R", "mAP@0.5"]
    return markdown([*headers, "mAP@0.5:0.95"], lines)


def _span(values: Sequence[float]) -> str:
    if not values:
        return "–"
    told = f"{mean(values):.3f}"
    return told if len(values) == 1 else f"{told} ({min(values):.3f}…{max(values):.3f})"


@click.command()
@click.option("--quick", is_flag=True, help="Within a minute: too little to learn anything.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--model",
    type=click.Choice(["tiny", "dmanet18"]),
    default="tiny",
    show_default=True,
    help="tiny for two CPU cores; dmanet18, at full size, is for a GPU.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1.")
@click.option("--processes", type=click.IntRange(min=1), help="Runs at a time; 2, on a GPU 1.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/ablation"))
def main(
    quick: bool, seeds: int, model: str, device: str, processes: int | None, out: Path
) -> None:
    """Train and score every arm, and print the tables."""
    processes = processes or (2 if device == "cpu" else 1)
    folder = out / (f"{model}-quick" if quick else model)
    scale = scale_of(model, quick)
    caches = make_caches(folder, scale, processes)
    for run_dir, seconds in make_runs(caches, scale, folder, seeds, device, processes):
        click.echo(f"{run_dir}: {f'{seconds:.0f} s' if seconds else 'was done'}", err=True)
    folders = [run_folder(folder, name, seed) for name in ARMS for seed in range(seeds)]
    runs = read_runs(folders)
    click.echo(f"{results_table(runs, cache_presets(caches.values()))}\n")
    click.echo(f"protocol {PROTOCOL}, split {SPLIT}, by arm (least…largest of the seeds):\n")
    click.echo(f"{seeds_table(runs)}\n")
    click.echo(f"mAP@0.5 / mAP@0.5:0.95 of each class:\n\n{class_table(runs)}")


if __name__ == "__main__":
    main()
