"""`dmanet evaluate`: score a network on a split of a cache, or boxes in files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cli.choices import PROTOCOLS, SPLITS
from cli.class_maps import Labels
from cli.distinct import DistinctPaths
from cli.model.options import (
    NewFolder,
    batch_option,
    device_option,
    is_one_of_several,
    precision_option,
    steps_option,
    stream_settings,
    workers_option,
)
from cli.numbers import SEED
from cli.options import example, quiet_option
from cli.paths import InputCache, InputFile, InputFolder, OutputFile, lines_beside
from cli.progress import progress_bar
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from dmanet.evaluation.examination import Examination
    from dmanet.evaluation.protocols import ProtocolResult
    from pipeline.cache.reader import PillarCache
    from pipeline.release.classes import ClassMap

#: What says how a network runs, and means nothing to files.
_OF_A_NETWORK = (
    "cache",
    "checkpoint",
    "split",
    "pictures",
    "steps",
    "batch",
    "device",
    "precision",
)


@click.command(cls=DistinctPaths)
@click.argument("cache", type=InputCache(), required=False)
@click.option("--checkpoint", type=InputFile(), help="last.pt of a run, or weights.")
@click.option(
    "--gt", type=InputFolder(), help="Instead of CACHE: a folder of labels, NAME_bbox.npy."
)
@click.option("--dt", type=InputFolder(), help="Detections to score against --gt, NAME_bbox.npy.")
@click.option(
    "--labels",
    "class_map",
    type=Labels(),
    help="Of --gt and --dt, what the numbers of the boxes' classes mean, and by which rules boxes are "
    "left out: dlut (if not given), gen1, 1mpx, etram, or a YAML file. A cache says it itself.",
)
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
@click.option(
    "--pictures", type=NewFolder(), help="A new folder for pictures of the worst windows."
)
@click.option(
    "--resamples",
    type=click.IntRange(0, 100_000),
    default=1000,
    show_default=True,
    help="Draws of recordings for the intervals; 0 for none.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the draws.")
@batch_option
@steps_option
@device_option
@precision_option
@workers_option
@quiet_option
@example(
    "dmanet evaluate cache --checkpoint runs/one/last.pt --split test --json result.json",
    "dmanet evaluate --gt labels --dt detections --labels gen1 --protocol prophesee",
)
@click.pass_context
def evaluate(
    context: click.Context,
    cache: str | None,
    checkpoint: Path | None,
    gt: Path | None,
    dt: Path | None,
    class_map: "ClassMap | None",
    protocol: str,
    split: str,
    json_output: Path | None,
    pictures: Path | None,
    resamples: int,
    seed: int,
    batch: int,
    steps: int,
    device: str,
    precision: str,
    workers: int,
    quiet: bool,
) -> None:
    """Score a network on every window of a split of CACHE, and print the table of its classes.

    Under the table: intervals by the bootstrap over recordings, sizes, recordings, kinds of error,
    which class is taken for which, calibration, the worst windows. `--json` holds all of it, and what
    `dmanet compare` needs.

    Recordings are read in order; memory is carried over contiguous windows and reset where a recording
    begins and at time gaps. On several GPUs, `torchrun --nproc-per-node=2 -m cli.main evaluate …`
    deals the recordings out.

    With `--gt` and `--dt` boxes in files are scored, whoever found them.
    """
    from dmanet.evaluation.details import Resampling
    from dmanet.evaluation.examination import Examination

    examination = Examination(Resampling(resamples, seed))
    if gt or dt:
        if not (gt and dt):
            raise UsageError("--gt and --dt go together; give both folders.")
        for name in _OF_A_NETWORK:
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                what = "CACHE" if name == "cache" else f"--{name}"
                raise UsageError(f"{what} has no meaning with --gt and --dt; leave it out.")
        _show(_of_folders(gt, dt, class_map, protocol, examination, quiet), json_output)
        return
    if class_map is not None:
        raise UsageError(
            "--labels goes with --gt and --dt: a cache says what its classes are; leave it out."
        )
    if cache is None:
        raise UsageError("Missing argument 'CACHE'; or give two folders of boxes, --gt and --dt.")
    if checkpoint is None:
        raise UsageError("Missing option '--checkpoint'.")
    opened = None if is_one_of_several() else _checked(cache, checkpoint, protocol, split, True)

    from dmanet.data.fitting import recordings_of
    from dmanet.device import own_device
    from dmanet.evaluation.evaluate import evaluate, own_recordings
    from dmanet.ranks import joined_ranks
    from dmanet.runs.weights import load_weights

    chosen = own_device(device)
    with joined_ranks(chosen) as ranks:
        with ranks.barrier():
            opened = opened or _checked(cache, checkpoint, protocol, split, ranks.is_main)
            weights = load_weights(checkpoint)
            own = own_recordings(recordings_of(opened, split), ranks)
        stream = stream_settings(chosen, precision, steps, workers, batch)
        windows = sum(len(recording) for recording in own)
        with progress_bar(windows, "window", quiet or not ranks.is_main) as bar:
            result = evaluate(
                weights, opened, protocol, split, stream, bar.update, ranks, examination
            )
    if not ranks.is_main:
        return
    _show(result, json_output)
    if pictures and result.details:
        from dmanet.reporting.worst_pictures import draw_worst_windows

        details = result.details
        made = draw_worst_windows(
            weights,
            opened,
            details.worst,
            details.curves.operating_score,
            result.protocol,
            stream,
            pictures,
        )
        lines_beside(json_output)(f"{pictures}: {len(made)} pictures of the worst windows")


def _of_folders(
    gt: Path,
    dt: Path,
    class_map: "ClassMap | None",
    protocol: str,
    examination: "Examination",
    quiet: bool,
) -> "ProtocolResult":
    """The score of one folder's boxes against another's; torch is not imported."""
    from dmanet.evaluation.box_folders import box_names, evaluate_folders
    from pipeline.release.classes import DLUT

    with progress_bar(len(box_names(gt, dt)), "recording", quiet) as bar:
        return evaluate_folders(gt, dt, protocol, examination, bar.update, class_map or DLUT)


def _show(result: "ProtocolResult", json_output: Path | None) -> None:
    """Write the JSON, and print the tables."""
    from dmanet.reporting.details_text import details_text
    from pipeline.files.whole import written_whole

    if json_output:
        with written_whole(json_output) as unfinished:
            unfinished.write_text(result.to_json() + "\n", encoding="utf-8")
    lines_beside(json_output)(f"{result.as_table()}\n\n{details_text(result)}")


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
    protocol_of(protocol, list(names), opened.settings.class_map)
    recordings_of(opened, split)
    if talks and not has_labels(opened, split, opened.settings.numbers_of(names)):
        click.echo(
            f"{cache}: has no box of the network's classes in the split {split}, so that there is no "
            "score.",
            err=True,
        )
    return opened
