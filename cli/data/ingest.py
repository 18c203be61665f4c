"""`dmanet-data ingest`: raw recordings become release shards."""

from pathlib import Path

import click

from cli.choices import SPLITS
from cli.options import PATH, example, quiet_option
from cli.progress import progress_bar


@click.command()
@click.argument("raw", type=PATH, nargs=-1, required=True)
@click.argument("out", type=PATH)
@click.option("--split", type=SPLITS, default="train", show_default=True, help="Where they go.")
@click.option(
    "--skip", default=0.5, show_default=True, help="Seconds left out at a recording's begin."
)
@quiet_option
@example("dmanet-data ingest recordings/*_td.dat release --split test")
def ingest(raw: tuple[Path, ...], out: Path, split: str, skip: float, quiet: bool) -> None:
    """Turn raw recordings (DAT or HDF5) into release shards under OUT.

    Boxes are read from `<name>_bbox.npy` beside a recording where there is one.
    """
    from pipeline.ingest.convert import ingest_recording

    for path in raw:
        with progress_bar(None, "window", quiet, desc=path.name) as bar:
            summary = ingest_recording(
                path, out, split, skip_us=round(skip * 1e6), progress=bar.update
            )
        for line in summary.lines():
            click.echo(line)
