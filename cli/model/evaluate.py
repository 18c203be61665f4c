"""`dmanet evaluate`: score a network on a split of a cache."""

from pathlib import Path

import click

from cli.choices import PROTOCOLS, SPLITS
from cli.model.options import (
    device_option,
    precision_option,
    steps_option,
    stream_settings,
    workers_option,
)
from cli.options import PATH, example, quiet_option
from cli.progress import progress_bar


@click.command()
@click.argument("cache", type=PATH)
@click.option("--checkpoint", type=PATH, required=True, help="last.pt of a run, or weights.")
@click.option(
    "--protocol",
    type=PROTOCOLS,
    default="release",
    show_default=True,
    help="Rules of matching and scoring.",
)
@click.option("--split", type=SPLITS, default="test", show_default=True, help="What to score.")
@click.option("--json", "json_output", type=PATH, help="Write the result here as JSON.")
@steps_option
@device_option
@precision_option
@workers_option
@quiet_option
@example("dmanet evaluate cache --checkpoint runs/one/last.pt --split test --json result.json")
def evaluate(
    cache: Path,
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
    from dmanet.data.fitting import recordings_of
    from dmanet.device import own_device
    from dmanet.evaluation.evaluate import evaluate, own_recordings
    from dmanet.ranks import joined_ranks
    from dmanet.runs.weights import load_weights
    from pipeline.cache.reader import PillarCache
    from pipeline.files.whole import written_whole

    chosen = own_device(device)
    with joined_ranks(chosen) as ranks:
        with ranks.barrier():
            opened = PillarCache(cache)
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
    click.echo(result.as_table())
