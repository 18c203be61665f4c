"""`dmanet-data show`: windows of a cache as a picture, a sheet, a film, or in the terminal."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.distinct import DistinctPaths
from cli.numbers import Real
from cli.options import example
from cli.paths import InputCache, OutputFile
from cli.windows import WindowSpan
from pipeline.errors import UsageError
from pipeline.files.outputs import STANDARD_OUTPUT

if TYPE_CHECKING:
    from pipeline.pictures.cached_windows import View


@click.command(cls=DistinctPaths)
@click.argument("cache", type=InputCache())
@click.option(
    "--recording",
    help="Its id, or its own name where only one has it; `dmanet-data info --json` lists them. "
    "[default: the first]",
)
@click.option(
    "--window",
    type=click.IntRange(0, 2**31 - 1),
    help="Number of the window in it, from 0. [default: the one with most labels; a film, all]",
)
@click.option("--windows", type=WindowSpan(), help="Several: A to B (exclusive).")
@click.option(
    "-o",
    "--output",
    type=OutputFile(standard_output=True),
    help="File to write: .png, .jpg or .webp (several windows: a sheet), .mp4, .gif or .webp (a "
    "film). [default: the terminal; - for its text on standard output]",
)
@click.option(
    "--view",
    type=click.Choice(["events", "pillars", "both"]),
    default="events",
    show_default=True,
    help="Cells by polarity, pillars by number of points and mean time, or side by side.",
)
@click.option(
    "--columns",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Windows side by side on a sheet.",
)
@click.option(
    "--width",
    type=click.IntRange(64, 8192),
    help="Of the whole picture, pixels. [default: 960; a sheet 1920]",
)
@click.option(
    "--speed",
    type=Real(0.005, 10),
    default=1.0,
    show_default=True,
    help="Of a film; 1 is as it was, 20 windows a second.",
)
@example(
    "dmanet-data show cache",
    "dmanet-data show cache --recording rec_0 --window 12 --view both -o w.png",
    "dmanet-data show cache --recording rec_0 --windows 0:12 -o sheet.png",
    "dmanet-data show cache --recording rec_0 -o drive.mp4",
)
def show(
    cache: str,
    recording: str | None,
    window: int | None,
    windows: tuple[int, int] | None,
    output: Path | None,
    view: "View",
    columns: int,
    width: int | None,
    speed: float,
) -> None:
    """Draw windows of CACHE with their labels, each track in its own colour.

    The suffix of -o says what is written. Without -o one window, or several below each other, are
    drawn in the terminal with 24-bit colours where COLORTERM says so, otherwise 256.
    """
    from pipeline.cache.reader import PillarCache
    from pipeline.pictures.cached_windows import draw_cached_windows
    from pipeline.pictures.choosing import find_recording, window_with_most_labels
    from pipeline.pictures.files import layout_for, write_pictures

    if window is not None and windows is not None:
        raise UsageError("--window and --windows were both given; give one of them.")
    if output is None and not sys.stdout.isatty():
        raise UsageError(
            "Standard output is no terminal to draw in; give a file with -o, or -o - for the text "
            "of a drawing."
        )
    opened = PillarCache(cache)
    chosen = find_recording(opened, recording)
    if windows is not None:
        start, stop = windows
    elif window is not None:
        start, stop = window, window + 1
    elif output is not None and output.suffix.lower() in (".mp4", ".gif"):
        start, stop = 0, len(chosen)
    else:
        start = window_with_most_labels(chosen)
        stop = start + 1
    if output is None or output == STANDARD_OUTPUT:
        from pipeline.pictures.terminal import has_true_colour, windows_as_text

        size = min(shutil.get_terminal_size().columns, 400)
        true_colour = has_true_colour(os.environ)
        for line in windows_as_text(opened, chosen, start, stop, size, view, true_colour):
            click.echo(line, color=True)
        return
    layout = layout_for(output, stop - start, columns, width, speed)
    images = draw_cached_windows(opened, chosen.id, start, stop, layout.tile, view)
    write_pictures(output, images, layout)
    what = f"window {start}" if stop == start + 1 else f"windows {start} to {stop - 1}"
    click.echo(f"{output}: {what} of {chosen.id}.")
