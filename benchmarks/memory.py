"""Whether a memory pays: `python -m benchmarks.memory [--json FILE] [--quick | --full]`.

Trains a network without memory once, on simulated recordings as they are. From its weights every arm
of :mod:`benchmarks.memory_plan` goes on, with equal steps, on streams whose scenes come to rest. Each
is scored on other recordings (:mod:`benchmarks.stop_scores`): as they are (`moving`), and with stops put
in, all windows, those at rest, and these by how many windows they have rested. Intervals are the middle
95 % of 1000 draws of whole recordings, of the mean over the seeds; gains are over `none` with the same
draws.

What is done already is not done again: stopped, the same command goes on.
"""

import json
import multiprocessing
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.ablation import check_settings, make_caches, run_folder, train_to_the_end
from benchmarks.memory_plan import ARMS, OWN, Plan, plan_of
from benchmarks.stop_scores import PARTS, PROTOCOL, Score, scores_of
from dmanet.device import choose_device, choose_precision
from dmanet.evaluation.bootstrap import interval_of
from dmanet.evaluation.details import Resampling
from dmanet.evaluation.streaming import StreamSettings
from dmanet.recipes import RunSettings
from dmanet.reporting.tables import markdown
from dmanet.runs.run_files import LAST_NAME
from dmanet.runs.weights import load_weights
from pipeline.cache.reader import PillarCache
from pipeline.files.whole import written_whole

SPLIT = "test"
SCORES_NAME = "stops.json"


def make_run(cache: Path, settings: RunSettings, run_dir: Path, device: str, draws: int) -> float:
    """Train and score one arm's network; the scores are left in its folder. Returns the seconds.

    Raises:
        UsageError: ``run_dir`` holds a run of other settings.
    """
    began = time.perf_counter()
    check_settings(run_dir, settings)
    result_file = run_dir / SCORES_NAME
    if result_file.exists():
        return 0.0
    train_to_the_end(cache, settings, run_dir, device)
    place = choose_device(device)
    stream = StreamSettings(place, choose_precision(settings.training.precision, place))
    weights = load_weights(run_dir / LAST_NAME)
    scores = scores_of(
        weights, PillarCache(cache), SPLIT, settings.augmentation, stream, Resampling(draws)
    )
    content = {
        part: {"map50": score.map50, "labels": score.labels, "draws": score.draws.tolist()}
        for part, score in scores.items()
    }
    with written_whole(result_file) as unfinished:
        unfinished.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return time.perf_counter() - began


def make_runs(
    cache: Path, plan: Plan, out: Path, device: str, processes: int
) -> Iterator[tuple[Path, float]]:
    """The network without memory, then every arm with every seed; each folder and its seconds."""
    began = time.perf_counter()
    threads = 1 if device == "cpu" else torch.get_num_threads()
    warm = out / "warm"
    train_to_the_end(cache, plan.warm_settings(), warm, device)
    yield warm, time.perf_counter() - began
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, torch.set_num_threads, (threads,)) as pool:
        pending = {}
        for seed in range(plan.seeds):
            for arm in ARMS:
                run_dir = run_folder(out, arm, seed)
                settings = plan.settings(arm, seed, warm / LAST_NAME)
                work = pool.submit(make_run, cache, settings, run_dir, device, plan.draws)
                pending[work] = run_dir
        for work in as_completed(pending):
            yield pending[work], work.result()


def read_scores(out: Path, plan: Plan) -> dict[str, dict[str, Score]]:
    """Of each arm and part the mean of its seeds, draw by draw too."""
    means: dict[str, dict[str, Score]] = {}
    for arm in ARMS:
        files = [run_folder(out, arm, seed) / SCORES_NAME for seed in range(plan.seeds)]
        runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        means[arm] = {}
        for part in PARTS:
            scores = [run[part] for run in runs]
            values = [score["map50"] for score in scores if score["map50"] is not None]
            means[arm][part] = Score(
                float(np.mean(values)) if values else None,
                scores[0]["labels"],
                np.mean([score["draws"] for score in scores], axis=0),
            )
    return means


def gain(means: Mapping[str, Mapping[str, Score]], arm: str, part: str) -> Score:
    """What an arm's score has more than that of ``none``."""
    with_memory, without = means[arm][part], means["none"][part]
    assert with_memory.map50 is not None
    assert without.map50 is not None
    more = with_memory.map50 - without.map50
    return Score(more, with_memory.labels, with_memory.draws - without.draws)


def figures_of(means: Mapping[str, Mapping[str, Score]]) -> dict[str, Any]:
    """What the JSON holds, but the seconds.

    ``quiet_gain_map50`` and ``moving_gain_map50`` are those of the arm of :data:`OWN` that gains most at
    rest.
    """
    best = max(OWN, key=lambda arm: gain(means, arm, "resting").map50 or 0.0)
    figures: dict[str, Any] = {
        "quiet_gain_map50": gain(means, best, "resting").map50,
        "moving_gain_map50": gain(means, best, "moving").map50,
        "best": best,
        "hold_quiet_gain_map50": gain(means, "hold", "resting").map50,
        "hold_moving_gain_map50": gain(means, "hold", "moving").map50,
        "labels": {part: means["none"][part].labels for part in PARTS},
    }
    for arm, parts in means.items():
        figures[arm] = {part: _plain(score) for part, score in parts.items()}
        if arm != "none":
            figures[arm]["gain"] = {
                part: _plain(gain(means, arm, part)) for part in ("moving", "resting")
            }
    return figures


def _plain(score: Score) -> dict[str, Any]:
    interval = interval_of(score.draws)
    return {"map50": score.map50, "interval": interval and asdict(interval)}


def table(means: Mapping[str, Mapping[str, Score]]) -> str:
    """One line for each arm; Markdown."""
    lines = [
        [arm, *(_told(means[arm][part]) for part in PARTS), *(_gain_told(means, arm))]
        for arm in means
    ]
    labels = ["labels", *(str(means["none"][part].labels) for part in PARTS), "", ""]
    headers = ["arm", *PARTS[:3], *(f"rested {age}" for age in PARTS[3:])]
    return markdown([*headers, "gain, moving", "gain, resting"], [*lines, labels])


def _gain_told(means: Mapping[str, Mapping[str, Score]], arm: str) -> list[str]:
    if arm == "none":
        return ["", ""]
    return [_told(gain(means, arm, part), "+") for part in ("moving", "resting")]


def _told(score: Score, sign: str = "") -> str:
    if score.map50 is None:
        return "–"
    interval = interval_of(score.draws)
    told = f"{score.map50:{sign}.3f}"
    return (
        told if interval is None else f"{told} ({interval.low:{sign}.3f}…{interval.high:{sign}.3f})"
    )


@click.command()
@click.option("--quick", "size", flag_value="quick", help="In seconds, too little to learn.")
@click.option(
    "--full", "size", flag_value="full", help="More data, seeds and steps: a night, or a GPU."
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1.")
@click.option("--processes", type=click.IntRange(min=1), help="Runs at a time; 2, on a GPU 1.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/memory"))
def main(
    size: str | None, json_file: Path | None, device: str, processes: int | None, out: Path
) -> None:
    """Train and score every arm, and print the table."""
    began = time.perf_counter()
    plan, folder = plan_of(size or "usual"), out / (size or "usual")
    processes = processes or (2 if device == "cpu" else 1)
    cache = make_caches(folder, plan.scale, processes, ("release",))["release"]
    for run_dir, seconds in make_runs(cache, plan, folder, device, processes):
        click.echo(f"{run_dir}: {f'{seconds:.0f} s' if seconds else 'was done'}", err=True)
    means = read_scores(folder, plan)
    click.echo(f"mAP@0.5, protocol {PROTOCOL}, split {SPLIT}, mean of {plan.seeds} seeds:\n")
    click.echo(table(means))
    if json_file is not None:
        figures = figures_of(means) | {"seconds": round(time.perf_counter() - began)}
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
