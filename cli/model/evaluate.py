"""`dmanet evaluate`: score a network on a split of a cache."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.choices import PROTOCOLS, SPLITS
from cli.distinct import DistinctPaths
from cli.model.options import (
    checkpoint_option,
    device_option,
    is_one_of_several,
    precision_option,
    steps_option,
    stream_settings,
    workers_option,
)
from cli.options import example, quiet_option
from cli.paths import InputCache, OutputFile, lines_beside
from cli.progress import progress_bar

if TYPE_CHECKING:
    from pipeline.cache.reader import PillarCache


@click.command(cls=DistinctPaths)
@click.argument("cache", type=InputCache())
@checkpoint_option
@click.option(
    "--protocol",
    type=PROTOCOLS,
    default="release",
    show_default=True,
    help="Rules of matching and scoring.",
)
@click.option("--split", type=SPLITS, default="test", show_default=True, help="What to score.")
@click.option(
    "--json",
    "json_output",
    type=OutputFile(standard_output=True),
    help="Write the result here as JSON; - for standard output.",
)
@steps_option
@device_option
@precision_option
@workers_option
@quiet_option
@example("dmanet evaluate cache --checkpoint runs/one/last.pt --split test --json result.json")
def evaluate(
    cache: str,
    checkpoint: Path,
    protocol: str,
    split: str,
    json_output: Path | None,
    steps: int,
    device: str,
    precision: str,
    workers: int,
    quiet: bool,
) -> None:
    """Score a network on every window of a split of CACHE, and print the table of its classes.

    Recordings are read in order; memory is carried over contiguous windows and reset where a recording
    begins and at time gaps. On several GPUs, `torchrun --nproc-per-node=2 -m cli.main evaluate …`
    deals the recordings out.
    """
    say = lines_beside(json_output)
    opened = None if is_one_of_several() else _checked(cache, checkpoint, protocol, split, True)

    from dmanet.data.fitting import recordings_of
    from dmanet.device import own_device
    from dmanet.evaluation.evaluate import evaluate, own_recordings
    from dmanet.ranks import joined_ranks
    from dmanet.runs.weights import load_weights
    from pipeline.files.whole import written_whole

    chosen = own_device(device)
    with joined_ranks(chosen) as ranks:
        with ranks.barrier():
            opened = opened or _checked(cache, checkpoint, protocol, split, ranks.is_main)
            weights = load_weights(checkpoint)
            own = own_recordings(recordings_of(opened, split), ranks)
        stream = stream_settings(chosen, precision, steps, workers)
        windows = sum(len(recording) for recording in own)
        with progress_bar(windows, "window", quiet or not ranks.is_main) as bar:
            result = evaluate(weights, opened, protocol, split, stream, bar.update, ranks)
    if not ranks.is_main:
        return
    if json_output:
        with written_whole(json_output) as unfinished:
            unfinished.write_text(result.to_json() + "\n", encoding="utf-8")
    say(result.as_table())


def _checked(cache: str, checkpoint: Path, protocol: str, split: str, talks: bool) -> "PillarCache":
    """The cache, once all that can be known without torch is in order; one process talks."""
    from dmanet.data.fitting import check_fit, has_labels, recordings_of
    from dmanet.evaluation.protocols import protocol_of
    from dmanet.runs.claims import read_claims
    from pipeline.cache.reader import PillarCache

    opened = PillarCache(cache)
    claims = read_claims(checkpoint)
    check_fit(opened, claims.settings, f"that of {checkpoint}", claims.classes)
    names = claims.classes or opened.settings.output_names
    protocol_of(protocol, list(names))
    recordings_of(opened, split)
    if talks and not has_labels(opened, split, opened.settings.numbers_of(names)):
        click.echo(
            f"{cache}: has no box of the network's classes in the split {split}, so that there is no "
            "score.",
            err=True,
        )
    return opened
