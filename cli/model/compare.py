"""`dmanet compare`: whether one result is better than another, and how sure that is."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from cli.options import example, json_option
from cli.paths import InputPath


@click.command()
@click.argument("results", type=InputPath(), nargs=-1, required=True, metavar="RUN|RESULT...")
@json_option
@example("dmanet compare runs/one runs/two/evaluation.json")
def compare(results: tuple[Path, ...], as_json: bool) -> None:
    """Compare results of `dmanet evaluate --json` with the first of them, number by number.

    RUN is a folder that holds `evaluation.json`, RESULT such a file. All must be of one protocol, split,
    recordings, labels and seed: every result was scored on the same draws of recordings, so that the
    difference has an interval of its own, and the share of draws in which one beats the other.
    """
    from dmanet.reporting.comparison import compare, comparison_text

    found = compare(results)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2, allow_nan=False))
    else:
        click.echo("\n\n".join(map(comparison_text, found)))
