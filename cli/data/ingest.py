"""`dmanet-data ingest`: raw recordings become release shards."""

from pathlib import Path

import click

from cli.choices import SPLITS
from cli.options import PATH, example, processes_option, quiet_option
from cli.progress import progress_bar


@click.command()
@click.argument("raw", type=PATH, nargs=-1, required=True)
@click.argument("out", type=PATH)
@click.option("--split", type=SPLITS, default="train", show_default=True, help="Where they go.")
@click.option(
    "--skip", default=0.5, show_default=True, help="Seconds left out at a recording's begin."
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
