"""`dmanet-data manifest diff`: what differs between two manifests."""

from pathlib import Path

import click

from cli.options import example, exit_codes
from cli.paths import InputFile


@click.command()
@click.argument("first", type=InputFile())
@click.argument("second", type=InputFile())
@exit_codes("0  the same recordings", "1  they differ, or a file is no manifest", "2  wrong usage")
@example("dmanet-data manifest diff mine.json theirs.json")
def diff(first: Path, second: Path) -> None:
    """Say which recordings only one of two manifests holds, and which differ.

    Where the releases lie does not count.
    """
    from pipeline.selection.compare import compare
    from pipeline.selection.manifest import read_manifest

    difference = compare(read_manifest(first), read_manifest(second))
    for line in difference.lines(str(first), str(second)):
        click.echo(line)
    if difference:
        raise click.exceptions.Exit(1)
