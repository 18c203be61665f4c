"""`dmanet results`: what runs came to, side by side."""

import json
from pathlib import Path

import click

from cli.options import example, json_option
from cli.paths import InputCache, InputFile, InputFolder


@click.command()
@click.argument("runs", type=InputFolder(), nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--evaluation",
    "evaluations",
    type=InputFile(),
    multiple=True,
    help="A result of `dmanet evaluate --json` that is not in its run's folder; repeatable.",
)
@click.option(
    "--cache",
    "caches",
    type=InputCache(),
    multiple=True,
    help="A cache that runs were trained or scored on, to be told by its preset; repeatable.",
)
@click.option("--per-class", is_flag=True, help="A second table with every class.")
@json_option
@example("dmanet results runs/one runs/two --cache cache --per-class")
def results(
    runs: tuple[Path, ...],
    evaluations: tuple[Path, ...],
    caches: tuple[str, ...],
    per_class: bool,
    as_json: bool,
) -> None:
    """Print a Markdown table of runs: settings that differ, training, scores under their protocol.

    RUN is a folder that `train` made. Its evaluations are the files in it whose names begin with
    `evaluation` and end with `.json`: `dmanet evaluate --json RUN/evaluation.json` leaves one there.
    A run without any says so.
    """
    from dmanet.reporting.results import cache_presets, read_runs
    from dmanet.reporting.tables import class_table, plain_results, results_table, what_to_evaluate

    found = read_runs(runs, evaluations)
    presets = cache_presets(caches)
    if as_json:
        click.echo(json.dumps(plain_results(found, presets), indent=2, allow_nan=False))
        return
    click.echo(results_table(found, presets))
    if per_class and any(run.evaluations for run in found):
        click.echo(f"\nmAP@0.5 / mAP@0.5:0.95 of each class:\n\n{class_table(found)}")
    if missing := what_to_evaluate(found):
        click.echo(f"\n{missing}")
