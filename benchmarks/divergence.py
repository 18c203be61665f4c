"""Why the release's training diverges: `python -m benchmarks.divergence [--quick]`.

Trains a small DMANet on simulated recordings, with the release's formulas and with ours, and with
one of them changed at a time; measures single formulas besides. `docs/stability.md` tells what came
of it.
"""

import json
import math
import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.divergence_charts import draw_all
from benchmarks.stability_probes import all_probes
from benchmarks.stress_data import StressBatch, batches_of, simulated_cache
from benchmarks.stress_runs import StressRun, stress_settings, summary, train
from benchmarks.stress_trainer import TrainerRun, report_summary, train_by_preset
from dmanet.detection.anchors import anchors_for
from dmanet.recipes import resolve_settings
from dmanet.settings import ModelSettings
from pipeline.cache.reader import PillarCache

#: Length that the embeddings have faded to where the stress begins.
FADED = 1e-5
PUBLISHED_RATE = 2e-4
RELEASE = StressRun("release", similarity=True, state=True, focal=True, precision="fp16")
#: The release where everything suspected comes together.
STRESS = replace(RELEASE, wrong_labels=0.3, learning_rate=10 * PUBLISHED_RATE, embedding_norm=FADED)


def ablation(steps: int, seeds: int) -> list[StressRun]:
    """The release under stress, each suspect cured alone; ours, each suspect put back alone."""
    default = resolve_settings("default")
    recipe = default.training
    ours = StressRun(
        "ours, default optimiser",
        precision="bf16",
        match_low_quality=default.loss.match_low_quality,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        gradient_clip=recipe.gradient_clip,
        embedding_norm=FADED,
        wrong_labels=STRESS.wrong_labels,
    )
    runs = [
        replace(STRESS, label="release"),
        replace(STRESS, label="release, no loss scaler", scaler=False),
        replace(STRESS, label="release, similarity cured", similarity=False),
        replace(STRESS, label="release, no gradient through weighting", weighting=False),
        replace(STRESS, label="release, focal loss cured", focal=False),
        replace(STRESS, label="release, float32 state", state=False),
        replace(STRESS, label="release, bfloat16", precision="bf16"),
        replace(STRESS, label="release, float32", precision="fp32"),
        replace(STRESS, label="release, right labels", wrong_labels=0.0),
        replace(STRESS, label="release, published rate", learning_rate=PUBLISHED_RATE),
        ours,
        replace(ours, label="ours, released similarity", similarity=True),
        replace(ours, label="ours, clamped focal loss", focal=True),
        replace(ours, label="ours, 16-bit state", state=True),
        replace(ours, label="ours, float16", precision="fp16"),
        replace(
            ours, label="ours, released similarity and float16", similarity=True, precision="fp16"
        ),
        replace(ours, label="ours, ten times the rate", learning_rate=10 * ours.learning_rate),
    ]
    return [replace(run, steps=steps, seed=seed) for run in runs for seed in range(seeds)]


def by_the_trainer(steps: int, seeds: int) -> list[TrainerRun]:
    """The project's own training under the stress of ours."""
    run = TrainerRun("Trainer, preset default", FADED, STRESS.wrong_labels, steps=steps)
    return [replace(run, seed=seed) for seed in range(seeds)]


def survival(norms: list[float], steps: int) -> list[StressRun]:
    """Both formulations from embeddings of several lengths, in three precisions."""
    return [
        StressRun(
            label,
            similarity=label == "release",
            state=label == "release",
            focal=label == "release",
            precision=precision,
            learning_rate=10 * PUBLISHED_RATE,
            embedding_norm=norm,
            steps=steps,
        )
        for label in ("release", "ours")
        for precision in ("fp32", "bf16", "fp16")
        for norm in norms
    ]


def knocked_class_head(steps: int) -> list[StressRun]:
    """Every logit begins at +11, as after one bad step: wrong and beyond the clamp."""
    run = StressRun("", precision="fp32", learning_rate=2e-3, class_bias=11.0, steps=steps)
    return [replace(run, label="clamped", focal=True), replace(run, label="from logits")]


def learning_rates(steps: int) -> list[StressRun]:
    """Both formulations in float32, healthy at the start, from the published rate upwards."""
    return [
        replace(run, precision="fp32", steps=steps, learning_rate=rate)
        for run in (RELEASE, StressRun("ours"))
        for rate in (2e-4, 2e-3, 2e-2, 2e-1)
    ]


def wrong_labels(steps: int) -> list[StressRun]:
    """Both formulations in float32 with boxes of wrong classes."""
    return [
        replace(run, precision="fp32", steps=steps, learning_rate=2e-3, wrong_labels=share)
        for run in (RELEASE, StressRun("ours"))
        for share in (0.0, 0.3, 1.0)
    ]


def fading(steps: int) -> list[StressRun]:
    """Do embeddings fade by themselves? The release in float32, by weight decay."""
    run = replace(RELEASE, precision="fp32", steps=steps, learning_rate=2e-3, gradient_clip=1.0)
    return [
        replace(run, label="no weight decay"),
        replace(run, label="Adam, 1e-4", weight_decay=1e-4),
        replace(run, label="AdamW, 1e-2", weight_decay=1e-2, optimizer="adamw"),
    ]


def plan(quick: bool, trainer_only: bool) -> dict[str, Sequence[StressRun | TrainerRun]]:
    """Every experiment's runs, or those of the trainer alone."""
    trainer = by_the_trainer(8, 1) if quick else by_the_trainer(30, 2)
    if trainer_only:
        return {"ablation": trainer}
    if quick:
        return {
            "ablation": [*ablation(8, 1), *trainer],
            "survival": survival([1e-3, 1e-5], 3),
            "knocked": knocked_class_head(20),
            "rates": learning_rates(15),
            "labels": wrong_labels(15),
            "fading": fading(20),
        }
    return {
        "ablation": [*ablation(30, 2), *trainer],
        "survival": survival([1e-2, 1e-3, 1e-4, 1e-5, 1e-6], 14),
        "knocked": knocked_class_head(80),
        "rates": learning_rates(120),
        "labels": wrong_labels(120),
        "fading": fading(400),
    }


class _Workshop:
    """What a process needs for its runs, made once."""

    cache: PillarCache
    settings: ModelSettings
    anchors: torch.Tensor
    batches: list[StressBatch]


def _prepare(cache: Path, cells: int, width: int, sequences: int, device: str) -> None:
    torch.set_num_threads(1)
    _Workshop.cache = PillarCache(cache)
    _Workshop.settings = stress_settings(cells, width)
    _Workshop.anchors = anchors_for(
        _Workshop.settings.grid_size, _Workshop.settings.anchors, torch.device(device)
    )
    _Workshop.batches = batches_of(cache, _Workshop.anchors, sequences)


def _measure(run: StressRun | TrainerRun) -> dict[str, Any]:
    if isinstance(run, TrainerRun):
        first = _Workshop.batches[0]
        reports = train_by_preset(run, _Workshop.settings, _Workshop.cache, first)
        return report_summary(run, reports)
    _, measures = train(run, _Workshop.settings, _Workshop.anchors, _Workshop.batches)
    return summary(run, measures)


def _probe(steps: int, passes: int) -> dict[str, Any]:
    run = StressRun("to carry", precision="fp32", learning_rate=2e-3, steps=steps)
    model, _ = train(run, _Workshop.settings, _Workshop.anchors, _Workshop.batches)
    return all_probes(model, _Workshop.batches, passes)


def experiments(
    quick: bool, trainer_only: bool, device: str, processes: int
) -> Iterator[tuple[str, Any]]:
    """Name and result of each experiment as it is done: a list of summaries, or all probes."""
    cells, width, sequences = (256, 32, 2) if device == "cuda" else (64, 8, 1)
    with tempfile.TemporaryDirectory() as folder:
        cache = simulated_cache(Path(folder), cells, 2 if quick else 4, 2.5 if quick else 5.0)
        with ProcessPoolExecutor(
            processes,
            multiprocessing.get_context("spawn"),
            _prepare,
            (cache, cells, width, sequences, device),
        ) as pool:
            probes = None
            if not trainer_only:
                probes = pool.submit(partial(_probe, *((10, 1) if quick else (120, 1))))
            pending = {
                name: [pool.submit(_measure, run) for run in runs]
                for name, runs in plan(quick, trainer_only).items()
            }
            if probes is not None:
                yield "probes", probes.result()
            for name, futures in pending.items():
                yield name, [future.result() for future in futures]


def ablation_table(rows: list[dict[str, Any]]) -> str:
    """One line for each variant, its seeds together; a Markdown table."""
    lines = [
        "| variant | steps lost | of the last ten | loss scale at the end | loss at the end |",
        "|---|---|---|---|---|",
    ]
    for label in dict.fromkeys(row["run"]["label"] for row in rows):
        mine = [row for row in rows if row["run"]["label"] == label]
        lines.append(
            f"| {label} | {_span(mine, 'lost')} of {_span(mine, 'steps')} | "
            f"{_span(mine, 'lost_at_end')} | {_span(mine, 'end_scale')} | {_span(mine, 'end_loss')} |"
        )
    return "\n".join(lines)


def run_table(rows: list[dict[str, Any]], *settings: str) -> str:
    """One line for each run with the settings that tell them apart; a Markdown table."""
    figures = ("lost", "end_loss", "end_missed", "median_gradient", "largest_logit", "quietest")
    lines = [
        "| " + " | ".join(("run", *settings, *figures)) + " |",
        "|" + "---|" * (1 + len(settings) + len(figures)),
    ]
    for row in rows:
        values = [row["run"]["label"], *(f"{row['run'][s]}" for s in settings)]
        values += [f"{row[figure]:.3g}" for figure in figures]
        lines.append("| " + " | ".join(values) + " |")
    return "\n".join(lines)


def _span(rows: list[dict[str, Any]], key: str) -> str:
    values = sorted({f"{row[key]:.3g}" for row in rows}, key=float)
    return values[0] if len(values) == 1 else f"{values[0]}…{values[-1]}"


def _plain(value: Any) -> Any:
    """The same with text for numbers that JSON does not know."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


@click.command()
@click.option("--quick", is_flag=True, help="Within a minute: smaller, fewer steps, one seed.")
@click.option(
    "--trainer-only", is_flag=True, help="Only the runs by the trainer, a row of the first table."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write results here.")
@click.option("--plots", type=click.Path(path_type=Path), help="Write the plots into this folder.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def main(
    quick: bool, trainer_only: bool, json_path: Path | None, plots: Path | None, device: str
) -> None:
    """Print what makes training diverge, one suspect at a time."""
    if trainer_only and plots:
        raise click.UsageError("--plots needs every experiment; leave out --trainer-only.")
    results: dict[str, Any] = {}
    for name, result in experiments(quick, trainer_only, device, 1 if device == "cuda" else 2):
        results[name] = result
        if name == "ablation":
            click.echo(f"\n## {name}\n\n{ablation_table(result)}")
        elif name != "probes":
            settings = {
                "survival": ("precision", "embedding_norm"),
                "rates": ("learning_rate",),
                "labels": ("wrong_labels",),
            }.get(name, ())
            click.echo(f"\n## {name}\n\n{run_table(result, *settings)}")
    if json_path:
        json_path.write_text(json.dumps(_plain(results), indent=1, allow_nan=False) + "\n")
    if plots:
        draw_all(results, plots)


if __name__ == "__main__":
    main()
