"""`dmanet-data ingest`: raw recordings become release shards."""

from pathlib import Path

import click

from cli.choices import SPLITS
from cli.numbers import Real
from cli.options import example, processes_option, quiet_option
from cli.paths import InputFile, OutputFolder
from cli.progress import progress_bar


@click.command()
@click.argument("raw", type=InputFile(), nargs=-1, required=True)
@click.argument("out", type=OutputFolder())
@click.option("--split", type=SPLITS, default="train", show_default=True, help="Where they go.")
@click.option(
    "--skip",
    type=Real(0, 3600),
    default=0.5,
    show_default=True,
    help="Seconds left out at a recording's begin, from the 50 ms of its first event.",
)
@processes_option
@quiet_option
@example("dmanet-data ingest recordings/*_td.dat release --split test")
def ingest(
    raw: tuple[Path, ...], out: Path, split: str, skip: float, workers: int, quiet: bool
) -> None:
    """Turn raw recordings (DAT or HDF5) into release shards under OUT.

    Boxes are read from `<name>_bbox.npy` beside a recording where there is one.
    """
    from pipeline.ingest.run import ingest_recordings

    with progress_bar(None, "window", quiet) as bar:
        for summary in ingest_recordings(
            raw, out, split, skip_us=round(skip * 1e6), workers=workers, progress=bar.update
        ):
            bar.clear()
            for line in summary.lines():
                click.echo(line)
