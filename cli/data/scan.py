"""`dmanet-data scan`: what a release holds, written down as a manifest."""

from pathlib import Path

import click

from cli.data.cache_or_manifest import print_info
from cli.data.options import box_size_options
from cli.distinct import DistinctPaths
from cli.options import example, json_option, processes_option, quiet_option
from cli.paths import InputFile, InputFolder, OutputFile
from cli.progress import progress_bar, reach
from pipeline.errors import UsageError


@click.command(cls=DistinctPaths)
@click.argument("root", type=InputFolder())
@click.option("-o", "--output", type=OutputFile(), required=True, help="Manifest to write.")
@click.option(
    "--labels-only",
    is_flag=True,
    help="Read label files only (events not on disk); times and gaps are those of the boxes.",
)
@click.option(
    "--sizes",
    type=InputFile(),
    help="With --labels-only: a listing of the drive the events are on, for their sizes (rclone lsl, "
    "rclone lsf --format ps, ls -lR, or a table path,bytes).",
)
@click.option(
    "--update",
    is_flag=True,
    help="Read only recordings that changed since the last scan with --update, or that a killed one "
    "did not reach. What was read is kept beside the manifest, in OUTPUT.scan; delete it to read all.",
)
@box_size_options
@processes_option
@json_option
@quiet_option
@example("dmanet-data scan prophesee_dlut -o manifest.json")
def scan(
    root: Path,
    output: Path,
    labels_only: bool,
    sizes: Path | None,
    update: bool,
    min_diagonal: float | None,
    min_side: float | None,
    workers: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Walk the release at ROOT and write down what every recording holds."""
    from pipeline.selection.listed_sizes import read_sizes, unmatched
    from pipeline.selection.manifest import write_manifest
    from pipeline.selection.scan import label_rules, scan_release
    from pipeline.statistics.info import manifest_info

    if sizes and not labels_only:
        raise UsageError("--sizes is for --labels-only: events that are read say their own sizes.")
    listed = read_sizes(sizes) if sizes else None
    with progress_bar(None, "shard", quiet) as bar:
        manifest = scan_release(
            root,
            labels_only=labels_only,
            min_diagonal=min_diagonal,
            min_side=min_side,
            workers=workers,
            progress=reach(bar),
            sizes=listed,
            record=output.with_name(f"{output.name}.scan") if update else None,
        )
    write_manifest(manifest, output)
    rules = label_rules(manifest.class_map, min_diagonal, min_side)
    click.echo(
        f"Classes of {manifest.class_map.name}; boxes count as kept from {rules.min_side:g} pixels a "
        f"side and {rules.min_diagonal:g} across.",
        err=True,
    )
    if listed is not None:
        for sentence in unmatched(listed, manifest):
            click.echo(sentence, err=True)
    print_info(manifest_info(manifest), as_json)
