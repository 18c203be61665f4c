"""How fast a training step is: `python -m benchmarks.train_step [--quick] [--json]`.

The baseline is the release's shape of work, step by step and sample by sample, with the same
weights on the same windows (:mod:`benchmarks.per_step_formulation`). The floor is our step's
convolutions, forward and backward, on random tensors, and nothing else. The rest is training as it
is, from a cache: what `dmanet bench` measures.
"""

import itertools
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.convolution_floor import ConvolutionFloor
from benchmarks.per_step_formulation import PerStepTraining, host_steps
from benchmarks.shards import simulated_release
from benchmarks.timing import in_turn, median
from benchmarks.voxelize import number
from dmanet.device import choose_device
from dmanet.recipes import RunSettings, resolve_settings
from dmanet.training.batches import TrainingBatches
from dmanet.training.step import Trainer
from dmanet.training.throughput import PARTS, Throughput, measure_throughput
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import SENSOR_SIZE, walk_release
from pipeline.voxelizing.run import voxelize

EVENTS_PER_WINDOW = 200_000
BATCHES = 2  # different ones, in turn
_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Case:
    """A network and batch to measure: ``preset`` of the recipe, samples B, steps T of a sample."""

    name: str
    preset: str
    batch: int
    steps: int
    repetitions: int
    seconds: float
    workers: int

    def settings(self, *overrides: str) -> RunSettings:
        """The published optimiser and matching, so that both formulations do the same work."""
        return resolve_settings(
            self.preset,
            None,
            (
                f"training.batch_size={self.batch}",
                f"training.steps={self.steps}",
                "training.sampling=random",
                "training.optimizer=adam",
                "training.precision=auto",
                "loss.match_low_quality=false",
                *overrides,
            ),
        )


def cases(device: torch.device, quick: bool) -> list[Case]:
    """What is measured on a device; the last one is what the top-level keys hold."""
    if device.type == "cuda":
        released = Case("dmanet18 2x10", "paper", 2, 10, 3 if quick else 10, 15 if quick else 60, 4)
        return [released]
    tiny = Case("tiny 4x4", "tiny", 4, 4, 3 if quick else 10, 6 if quick else 30, 1)
    if quick:
        return [tiny]
    return [tiny, Case("dmanet18 2x3", "paper", 2, 3, 3, 60, 1)]


def measure(case: Case, work: Path, device: torch.device) -> dict[str, Any]:
    """Every figure for one case."""
    cache = cached(work, case.settings().model.grid_size)
    # Each in a process of its own, whose largest memory is then the step's.
    throughput = in_own_process(cache, case.settings(), device, case)
    lean = in_own_process(
        cache, case.settings("training.activation_checkpointing=true"), device, case
    )
    seconds = formulations(case, cache, device)
    windows = case.batch * case.steps
    return {
        "train_step_vs_per_step_formulation": seconds["per_step"] / seconds["ours"],
        "train_step_share_of_floor": seconds["floor"] / seconds["ours"],
        "data_wait_share": throughput.data_wait_share,
        "peak_gb": throughput.peak_gb,
        "windows_per_s": throughput.windows_per_s,
        "step_windows_per_s": windows / seconds["ours"],
        "per_step_formulation_windows_per_s": windows / seconds["per_step"],
        "floor_windows_per_s": windows / seconds["floor"],
        "loader_windows_per_s": throughput.loader_windows_per_s,
        "peak_gb_with_activation_checkpointing": lean.peak_gb,
        "step_time_with_activation_checkpointing": throughput.step_windows_per_s
        / lean.step_windows_per_s,
        "seconds": throughput.seconds,
        "device": throughput.device,
        "precision": throughput.precision,
        "batch": [case.batch, case.steps],
    }


def formulations(case: Case, cache: Path, device: torch.device) -> dict[str, float]:
    """Median seconds of our step, of the baseline's and of the floor, taken in turn."""
    settings = case.settings()
    reader = TrainingBatches(PillarCache(cache), settings, device, 0)
    batches = list(itertools.islice(reader.forever(), BATCHES))
    trainer = Trainer(settings, device, len(reader))
    recipe = settings.training
    baseline = PerStepTraining(
        trainer.model, settings.loss, recipe.learning_rate, recipe.gradient_clip, device
    )
    autocast = _AUTOCAST[trainer.precision]
    padded = [host_steps(batch) for batch in batches]  # a loader's work, so not timed
    with ConvolutionFloor() as floor:
        trainer.make_step(batches[0], 0.0)
    turns, padded_turns = itertools.cycle(batches), itertools.cycle(padded)

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def ours() -> None:
        trainer.make_step(next(turns), 0.0)
        finish()

    def per_step() -> None:
        baseline.train_step(next(padded_turns), autocast)
        finish()

    def convolutions() -> None:
        floor.replay()
        finish()

    seconds = in_turn(case.repetitions, ours=ours, per_step=per_step, floor=convolutions)
    return {name: median(times) for name, times in seconds.items()}


def in_own_process(
    cache: Path, settings: RunSettings, device: torch.device, case: Case
) -> Throughput:
    """:func:`measure_throughput` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_throughput, cache, settings, device, case).result()


def _throughput(cache: Path, settings: RunSettings, device: torch.device, case: Case) -> Throughput:
    return measure_throughput(
        PillarCache(cache), settings, device, workers=case.workers, seconds=case.seconds
    )


def cached(work: Path, grid_size: tuple[int, int]) -> Path:
    """A cache of simulated windows for a grid (height, width), made once."""
    height, width = grid_size
    path = work / f"train-step-{width}x{height}"
    root = simulated_release(work, EVENTS_PER_WINDOW, recordings=2, shards=12)
    settings = CacheSettings(preset="release", grid=(width, height))
    voxelize(walk_release(root), lambda recording: SENSOR_SIZE, path, settings)
    return path


def table(results: dict[str, dict[str, Any]]) -> str:
    """The figures as two Markdown tables: the ratios and rates, and the share of each part."""
    names = list(results)
    figures = [key for key, value in results[names[0]].items() if isinstance(value, float)]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for key in figures:
        cells = [number(results[name][key]) for name in names]
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    lines += ["", "| part of the step | " + " | ".join(names) + " |", lines[1]]
    for part in PARTS:
        seconds = [results[name]["seconds"] for name in names]
        cells = [f"{of[part] / sum(of.values()):.1%}" for of in seconds]
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    one = results[names[0]]
    return "\n".join([f"{one['device']}, {one['precision']}", "", *lines])


@click.command()
@click.option("--quick", is_flag=True, help="Within a minute: the tiny network on a CPU.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--device", default="auto", show_default=True, help="cpu or cuda.")
@click.option("--work", type=click.Path(path_type=Path), default="build/benchmarks")
def main(quick: bool, as_json: bool, device: str, work: Path) -> None:
    """Print how fast a training step is, as ratios, and where its time goes."""
    work.mkdir(parents=True, exist_ok=True)
    chosen = choose_device(device)
    results = {}
    for case in cases(chosen, quick):
        results[case.name] = measure(case, work, chosen)
        click.echo(f"{case.name} done", err=True)
    last = results[list(results)[-1]]
    click.echo(json.dumps({**last, "cases": results}, indent=2) if as_json else table(results))


if __name__ == "__main__":
    main()
