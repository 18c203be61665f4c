"""`dmanet-data show`: one window of a cache as a picture."""

from pathlib import Path

import click

from cli.options import PATH, example
from pipeline.errors import UsageError


@click.command()
@click.argument("cache")
@click.option("--recording", required=True, help="Its id; `dmanet-data info --json` lists them.")
@click.option("--window", required=True, type=int, help="Number of the window in it, from 0.")
@click.option("-o", "--output", type=PATH, required=True, help="PNG file to write.")
@click.option("--width", default=960, show_default=True, help="Of the picture, pixels.")
@example("dmanet-data show cache --recording train/trainfilelist00/rec_0 --window 12 -o w.png")
def show(cache: str, recording: str, window: int, output: Path, width: int) -> None:
    """Draw one window of CACHE, its pillars by polarity and its labels, as a PNG file."""
    from dmanet.reporting.window_picture import draw_cached_window
    from pipeline.cache.reader import PillarCache
    from pipeline.files.whole import written_whole

    if not 64 <= width <= 8192:
        raise UsageError(f"--width {width}: give 64 to 8192 pixels.")
    picture = draw_cached_window(PillarCache(cache), recording, window, width)
    with written_whole(output) as unfinished:
        picture.save(unfinished, format="PNG")
    click.echo(f"{output}: window {window} of {recording}.")
