"""`dmanet predict`: what a network finds, as a video, files and pictures."""

from pathlib import Path
from typing import Any

import click

from cli.choices import SPLITS
from cli.distinct import DistinctPaths
from cli.model.options import checkpoint_option, device_option, precision_option, steps_option
from cli.model.predict_options import BoxesOutput, PredictionOutput
from cli.model.predict_runs import Request, predict_cache, predict_recording
from cli.model.predict_sources import check_options, is_cache
from cli.numbers import Real
from cli.options import example, quiet_option
from cli.paths import InputCache, InputCacheOrFile
from cli.sizes import Size
from pipeline.errors import UsageError

_PICTURES = 8
_SKIP = 0.5  # seconds, of the data sets that `ingest` knows


@click.command(cls=DistinctPaths)
@click.argument("source", type=InputCacheOrFile())
@checkpoint_option
@click.option(
    "-o",
    "--output",
    type=PredictionOutput(),
    help="A video (NAME.mp4, .gif, .webp); of a cache also a new folder.",
)
@click.option(
    "--save",
    type=BoxesOutput(),
    help="Boxes: NAME.npy (Prophesee), NAME.json (COCO), NAME.h5, or a new folder (YOLO).",
)
@click.option(
    "--windows", metavar="A:B", help="Windows A to B (exclusive), of a cache's --recording."
)
@click.option(
    "--score",
    type=Real(0, 1),
    default=0.3,
    show_default=True,
    help="Least score of a box.",
)
@click.option("--split", type=SPLITS, help="Of a cache, all recordings; test if none is chosen.")
@click.option("--recording", help="Of a cache, one by its id, as `dmanet-data info` lists them.")
@click.option(
    "--pictures",
    type=click.IntRange(0, 10**6),
    help=f"Of each recording in a folder, evenly spread; {_PICTURES} if not given.",
)
@click.option(
    "--encoding",
    type=InputCache(),
    help="A cache the network was trained on, if its file does not remember the settings.",
)
@click.option(
    "--skip",
    type=Real(0, 3600),
    help=f"Seconds left out at a raw recording's begin, {_SKIP} if not given, as `ingest` does.",
)
@click.option(
    "--sensor", type=Size(), help="Pixels, of a raw recording that does not state its size."
)
@click.option(
    "--follow",
    is_flag=True,
    help="Of a RAW or DAT file that still grows: go on as windows come, until Ctrl-C.",
)
@click.option(
    "--stop-after",
    type=Real(0.1, 86400),
    help="With --follow: end when the file has not grown for so many seconds.",
)
@steps_option
@device_option
@precision_option
@click.option(
    "--workers",
    type=click.IntRange(0, 256),
    help="Processes that read a cache ahead; 0 if not given.",
)
@quiet_option
@example(
    "dmanet predict driving.raw --checkpoint runs/one/last.pt -o driving.mp4",
    "dmanet predict cache --checkpoint runs/one/last.pt --split test -o predictions",
)
def predict(
    source: str,
    checkpoint: Path,
    output: Path | None,
    save: Path | None,
    windows: str | None,
    score: float,
    steps: int,
    device: str,
    precision: str,
    quiet: bool,
    **options: Any,
) -> None:
    """Show what a network finds in SOURCE, a raw recording or a pillar cache.

    A video has a window a frame, with boxes, class, score, time and event rate; what looks like one
    object keeps its colour. In a folder each recording gets a Prophesee `_bbox.npy`, and pictures, in
    which labels are dashed. Boxes are in sensor pixels, with the time their window begins. A raw
    recording becomes windows as `ingest` and `voxelize` would make them, by the settings of the cache
    the network was trained on.
    """
    check_options(source, options)
    if output is None and save is None:
        raise UsageError("nothing is to be written; give -o NAME.mp4, or --save NAME.npy.")
    request = Request(source, checkpoint, output, save, score, steps, device, precision, quiet)
    pictures, skip = options["pictures"], options["skip"]
    if is_cache(source):
        predict_cache(
            request,
            split=options["split"],
            recording=options["recording"],
            windows=windows,
            pictures=_PICTURES if pictures is None else pictures,
            workers=options["workers"] or 0,
        )
    else:
        predict_recording(
            request,
            windows=windows,
            encoding=options["encoding"],
            skip_s=_SKIP if skip is None else skip,
            sensor=options["sensor"],
            follow=options["follow"],
            stop_after_s=options["stop_after"],
        )
