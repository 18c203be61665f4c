"""`dmanet-data export`: labels and detections for other tools."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.choices import SPLITS
from cli.distinct import DistinctPaths
from cli.options import example, quiet_option
from cli.paths import InputCacheOrFile, OutputFolder
from cli.progress import progress_bar
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.cache.reader import CachedRecording

_FORMATS = ("coco", "yolo", "npy", "h5")


@click.command(cls=DistinctPaths)
@click.argument("source", type=InputCacheOrFile())
@click.option("-o", "--output", type=OutputFolder(), required=True, help="A new folder.")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="coco",
    show_default=True,
    help="coco: labels.json and data/; yolo: dataset.yaml, labels/ and images/; npy: Prophesee's "
    "files; h5: one file.",
)
@click.option("--split", type=SPLITS, help="Of a cache, recordings of one split.")
@click.option("--recording", help="Of a cache, one by its id.")
@click.option(
    "--pictures/--no-pictures",
    default=True,
    show_default=True,
    help="Of a cache's windows, in the sensor's size, for coco and yolo.",
)
@quiet_option
@example(
    "dmanet-data export cache -o for_fiftyone --format coco --split val",
    "dmanet-data export detections.json -o boxes --format npy",
)
def export(
    source: str,
    output: Path,
    form: str,
    split: str | None,
    recording: str | None,
    pictures: bool,
    quiet: bool,
) -> None:
    """Write the labels of a cache, or boxes that were written before, for other tools.

    SOURCE is a cache, or boxes as this command or `dmanet predict --save` wrote them: COCO JSON, a YOLO
    folder or HDF5. FiftyOne reads a coco folder as `COCODetectionDataset`, a yolo folder as
    `YOLOv5Dataset`; `dmanet evaluate --gt` and `--dt` read npy folders.
    """
    from pipeline.exchange.event_pictures import write_event_pictures
    from pipeline.exchange.formats import PICTURES, fill_folder, load_boxes
    from pipeline.exchange.labels import labels_of
    from pipeline.files.outputs import require_new_folder
    from pipeline.files.whole import folder_written_whole

    require_new_folder(output)
    recordings: list[CachedRecording] = []
    if _is_cache(source):
        from pipeline.cache.reader import PillarCache

        cache = PillarCache(source)
        recordings = _chosen(cache.recordings(split), recording, source)
        found = labels_of(cache, recordings)
    elif split is not None or recording is not None:
        raise UsageError(f"{source}: is no cache; leave --split and --recording out.")
    else:
        found = load_boxes(Path(source))
    with folder_written_whole(output) as folder:
        fill_folder(folder, form, found)
        if pictures and recordings and form in PICTURES:
            with progress_bar(sum(map(len, recordings)), "window", quiet) as bar:
                write_event_pictures(folder / PICTURES[form], recordings, bar.update)
    windows = sum(map(len, found.recordings))
    click.echo(
        f"{output}: {found.boxes()} boxes in {windows} windows of {len(found.recordings)} recordings"
    )


def _is_cache(source: str) -> bool:
    return "://" in source or (Path(source) / "zarr.json").exists()


def _chosen(
    recordings: "list[CachedRecording]", recording: str | None, source: str
) -> "list[CachedRecording]":
    chosen = [one for one in recordings if recording in (None, one.id)]
    if not chosen:
        raise UsageError(
            f"{source}: holds no such recording; `dmanet-data info --json` lists those it holds."
        )
    return chosen
