"""`dmanet-data subset`: whole recordings of a manifest within a budget."""

from pathlib import Path

import click

from cli.choices import STRATEGIES
from cli.classes import ClassNames
from cli.data.options import Bytes
from cli.distinct import DistinctPaths
from cli.numbers import SEED
from cli.options import example, quiet_option
from cli.paths import InputFile, OutputFile, OutputFolder, lines_beside
from cli.progress import progress_bar, reach
from pipeline.errors import UsageError


@click.command(cls=DistinctPaths)
@click.argument("manifest", type=InputFile())
@click.option("--budget", type=Bytes(), required=True, help="At most, such as 40GB or 500MB.")
@click.option(
    "-o",
    "--output",
    type=OutputFile(standard_output=True),
    required=True,
    help="Manifest of the subset to write; - for standard output.",
)
@click.option(
    "--strategy",
    type=STRATEGIES,
    default="stratified",
    show_default=True,
    help="What decides between recordings.",
)
@click.option("--classes", type=ClassNames(), help="Choose for these classes only.")
@click.option("--exclude-classes", type=ClassNames(), help="Choose without these classes.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Same seed, same choice.")
@click.option(
    "--files-from",
    type=OutputFile(standard_output=True),
    help="Write the list of files for a downloader; - for standard output.",
)
@click.option(
    "-0",
    "--null",
    is_flag=True,
    help="End the names in --files-from with a zero byte (rsync --from0, xargs -0).",
)
@click.option("--link", type=OutputFolder(), help="Make the release tree here with symbolic links.")
@click.option(
    "--copy", "copy_to", type=OutputFolder(), help="Make the release tree here with copies."
)
@quiet_option
@example("dmanet-data subset manifest.json --budget 40GB -o subset.json --files-from files.txt")
def subset(
    manifest: Path,
    budget: int,
    output: Path,
    strategy: str,
    classes: tuple[str, ...] | None,
    exclude_classes: tuple[str, ...] | None,
    seed: int,
    files_from: Path | None,
    null: bool,
    link: Path | None,
    copy_to: Path | None,
    quiet: bool,
) -> None:
    """Choose whole recordings of MANIFEST within a budget of bytes.

    Strategies: stratified keeps the class shares, balanced raises rare classes, uniform draws at
    random, first takes them in order. Prints how the class shares drift.
    """
    from pipeline.selection import subset as choosing
    from pipeline.selection.file_list import file_list, write_file_list
    from pipeline.selection.manifest import read_manifest, write_manifest
    from pipeline.selection.tree import assemble_tree
    from pipeline.statistics.info import format_bytes

    chosen = choosing.choose_subset(
        read_manifest(manifest),
        budget,
        strategy,
        classes=classes,
        exclude_classes=exclude_classes,
        seed=seed,
    )
    if null and files_from is None:
        raise UsageError("--null is for --files-from; add it, or leave --null out.")
    if files_from:
        file_list(
            chosen.manifest, null=null
        )  # refuses what it cannot hold before anything is written
    write_manifest(chosen.manifest, output)
    if files_from:
        write_file_list(chosen.manifest, files_from, null=null)
    for folder, mode in ((link, "link"), (copy_to, "copy")):
        if folder:
            with progress_bar(None, "file", quiet) as bar:
                assemble_tree(chosen.manifest, folder, mode, progress=reach(bar))
    say = lines_beside(output, files_from)
    say(chosen.drift.table())
    rows = chosen.manifest.recordings
    size = sum(choosing.recording_size(row) for row in rows)
    guess = (
        ", with event files that are not here guessed at the release's mean size"
        if chosen.manifest.subset and chosen.manifest.subset.estimated
        else ""
    )
    say(
        f"{output}: {len(rows)} recordings, {format_bytes(size)} of a budget of "
        f"{format_bytes(budget)}{guess}."
    )
