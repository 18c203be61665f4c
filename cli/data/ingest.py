"""`dmanet-data ingest`: raw recordings become release shards."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.choices import SPLITS
from cli.class_maps import Labels
from cli.classes import ClassNames
from cli.data.options import MergedClass
from cli.numbers import Real
from cli.options import example, exit_codes, processes_option, quiet_option
from cli.paths import InputPath, OutputFolder
from cli.progress import progress_bar
from cli.sizes import Size

if TYPE_CHECKING:
    from pipeline.release.classes import ClassMap

NOT_ALL_EXIT_CODE = 3


@click.command()
@click.argument("raw", type=InputPath(), nargs=-1, required=True)
@click.argument("out", type=OutputFolder())
@click.option(
    "--split",
    type=SPLITS,
    help="Where they go; if not given, as the folder train, val or test that a file is in, else train.",
)
@click.option(
    "--labels",
    "class_map",
    type=Labels(),
    help="What the numbers of the boxes' classes mean: dlut (if not given), gen1, 1mpx, etram, or a "
    "YAML file. It is kept in OUT, with the data set's rules for boxes.",
)
@click.option(
    "--map",
    "merged",
    type=MergedClass(),
    multiple=True,
    help="Make boxes of one class those of another, such as bus=truck; repeatable.",
)
@click.option("--classes", type=ClassNames(), help="Keep boxes of these classes only.")
@click.option(
    "--skip",
    type=Real(0, 3600),
    help="Seconds left out at a recording's begin, from the 50 ms of its first event; if not given, "
    "the data set's, which is 0.5 for those named above.",
)
@click.option(
    "--sensor",
    type=Size(),
    help="Pixels, of recordings that do not state their size; if not given, those of --labels.",
)
@click.option("--overwrite", is_flag=True, help="Make recordings again that OUT has already.")
@processes_option
@quiet_option
@example("dmanet-data ingest recordings release --split test")
@exit_codes(
    "0    every recording is in OUT",
    "1    none could be written",
    "2    the request makes no sense",
    "3    some could not be read; they are listed, the others are in OUT",
)
def ingest(
    raw: tuple[Path, ...],
    out: Path,
    split: str | None,
    class_map: "ClassMap | None",
    merged: tuple[tuple[str, str], ...],
    classes: tuple[str, ...] | None,
    skip: float | None,
    sensor: tuple[int, int] | None,
    overwrite: bool,
    workers: int,
    quiet: bool,
) -> None:
    """Turn raw recordings into release shards under OUT.

    RAW are files, or folders that are looked through: DAT, RAW (EVT 2.0 and EVT 3.0), HDF5 in the
    layouts of Prophesee, DSEC and Metavision, AEDAT 4. Boxes are read from `<name>_bbox.npy` beside a
    recording where there is one. Recordings that OUT has are kept: the same command continues one that
    was stopped.
    """
    from pipeline.ingest.class_choice import choose_classes
    from pipeline.ingest.run import Kept, NotIngested, ingest_recordings, recordings_below
    from pipeline.release.classes import DLUT

    choice = choose_classes(class_map or DLUT, merged, classes)
    tasks = recordings_below(raw, split)
    failed = []
    click.echo(f"Classes: {choice.class_map}.", err=True)
    with progress_bar(None, "event", quiet, unit_scale=True) as bar:
        for outcome in ingest_recordings(
            tasks,
            out,
            skip_us=round((choice.class_map.skip if skip is None else skip) * 1e6),
            sensor=sensor,
            # Who names no data set has not said which camera it was.
            usual_sensor=class_map.sensor if class_map else None,
            choice=choice,
            overwrite=overwrite,
            workers=workers,
            progress=bar.update,
        ):
            bar.clear()
            if isinstance(outcome, NotIngested):
                failed.append(outcome)
                click.echo(f"{outcome.recording_id}: not written: {outcome.reason}", err=True)
            elif isinstance(outcome, Kept):
                click.echo(f"{outcome.recording_id}: is there already, kept.")
            else:
                click.echo("\n".join(outcome.lines()))
    if failed:
        click.echo(f"{len(failed)} of {len(tasks)} recordings could not be written.", err=True)
        raise click.exceptions.Exit(1 if len(failed) == len(tasks) else NOT_ALL_EXIT_CODE)
