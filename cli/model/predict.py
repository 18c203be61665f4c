"""`dmanet predict`: what a network finds, as files and pictures."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.choices import SPLITS
from cli.distinct import DistinctPaths
from cli.model.options import (
    NewFolder,
    checkpoint_option,
    device_option,
    precision_option,
    steps_option,
    stream_settings,
    workers_option,
)
from cli.numbers import Real
from cli.options import example, quiet_option
from cli.paths import InputCache
from cli.progress import progress_bar
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from dmanet.data.samplers import WindowRange
    from pipeline.cache.reader import PillarCache


@click.command(cls=DistinctPaths)
@click.argument("cache", type=InputCache())
@checkpoint_option
@click.option("--split", type=SPLITS, help="All recordings of a split; test if nothing is chosen.")
@click.option("--recording", help="One recording by its id, as `dmanet-data info` lists them.")
@click.option("--windows", metavar="A:B", help="Windows A to B (exclusive) of --recording.")
@click.option("-o", "--output", type=NewFolder(), required=True, help="A new folder.")
@click.option(
    "--score",
    type=Real(0, 1),
    default=0.3,
    show_default=True,
    help="Least score of a box.",
)
@click.option(
    "--pictures",
    type=click.IntRange(0, 10**6),
    default=8,
    show_default=True,
    help="Pictures of each recording, evenly spread.",
)
@steps_option
@device_option
@precision_option
@workers_option
@quiet_option
@example("dmanet predict cache --checkpoint runs/one/last.pt --split test -o predictions")
def predict(
    cache: str,
    checkpoint: Path,
    split: str | None,
    recording: str | None,
    windows: str | None,
    output: Path,
    score: float,
    pictures: int,
    steps: int,
    device: str,
    precision: str,
    workers: int,
    quiet: bool,
) -> None:
    """Write what a network finds: a Prophesee `_bbox.npy` for each recording, and pictures.

    Boxes are in sensor pixels, with the time their window begins. In the pictures detections have
    their class's colour and score, labels are dashed.
    """
    from dmanet.data.fitting import check_fit
    from dmanet.runs.claims import read_claims
    from pipeline.cache.reader import PillarCache

    opened = PillarCache(cache)
    spans = _spans(opened, split, recording, windows)
    claims = read_claims(checkpoint)
    check_fit(opened, claims.settings, f"that of {checkpoint}", claims.classes)

    from dmanet.device import choose_device
    from dmanet.reporting.prediction import PredictionSettings, predict
    from dmanet.runs.weights import load_weights

    weights = load_weights(checkpoint)
    stream = stream_settings(choose_device(device), precision, steps, workers)
    settings = PredictionSettings(score_threshold=score, pictures=pictures)
    with progress_bar(sum(s.stop - s.start for s in spans), "window", quiet) as bar:
        predictions = predict(weights, opened, spans, output, stream, settings, bar.update)
    for made in predictions:
        click.echo(
            f"{made.box_file}: {made.boxes} boxes in {made.windows} windows, "
            f"{len(made.pictures)} pictures"
        )


def _spans(
    cache: "PillarCache", split: str | None, recording: str | None, windows: str | None
) -> "list[WindowRange]":
    """The windows that the options of `predict` choose."""
    from dmanet.data.fitting import recordings_of
    from dmanet.data.samplers import WindowRange

    if recording is None:
        if windows is not None:
            raise UsageError("--windows needs --recording; name the recording they are of.")
        return [WindowRange(r.id, 0, len(r)) for r in recordings_of(cache, split or "test")]
    if split is not None:
        raise UsageError("--split and --recording exclude each other; give one of them.")
    length = len(cache.recording(recording))
    found = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", windows or f"0:{length}")
    first, last = map(int, found.groups()) if found else (0, 0)
    if not first < last <= length:
        raise UsageError(
            f"--windows {windows}: give a range within 0:{length}, such as 0:{min(10, length)}."
        )
    return [WindowRange(recording, first, last)]
