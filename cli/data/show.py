"""`dmanet-data show`: one window of a cache as a picture."""

from pathlib import Path

import click

from cli.distinct import DistinctPaths
from cli.options import example
from cli.paths import InputCache, OutputFile


@click.command(cls=DistinctPaths)
@click.argument("cache", type=InputCache())
@click.option("--recording", required=True, help="Its id; `dmanet-data info --json` lists them.")
@click.option(
    "--window",
    required=True,
    type=click.IntRange(0, 2**31 - 1),
    help="Number of the window in it, from 0.",
)
@click.option("-o", "--output", type=OutputFile(), required=True, help="PNG file to write.")
@click.option(
    "--width",
    type=click.IntRange(64, 8192),
    default=960,
    show_default=True,
    help="Of the picture, pixels.",
)
@example("dmanet-data show cache --recording train/trainfilelist00/rec_0 --window 12 -o w.png")
def show(cache: str, recording: str, window: int, output: Path, width: int) -> None:
    """Draw one window of CACHE, its pillars by polarity and its labels, as a PNG file."""
    from dmanet.reporting.window_picture import draw_cached_window
    from pipeline.cache.reader import PillarCache
    from pipeline.files.whole import written_whole

    picture = draw_cached_window(PillarCache(cache), recording, window, width)
    with written_whole(output) as unfinished:
        picture.save(unfinished, format="PNG")
    click.echo(f"{output}: window {window} of {recording}.")
