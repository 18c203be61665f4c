"""`dmanet-data subset`: whole recordings of a manifest within a budget."""

from pathlib import Path

import click

from cli.choices import STRATEGIES
from cli.data.options import ClassNames
from cli.options import PATH, example, quiet_option
from cli.progress import progress_bar, reach


@click.command()
@click.argument("manifest", type=PATH)
@click.option("--budget", required=True, help="Bytes at most, such as 40GB or 500MB.")
@click.option("-o", "--output", type=PATH, required=True, help="Manifest of the subset to write.")
@click.option(
    "--strategy",
    type=STRATEGIES,
    default="stratified",
    show_default=True,
    help="What decides between recordings.",
)
@click.option("--classes", type=ClassNames(), help="Choose for these classes only.")
@click.option("--exclude-classes", type=ClassNames(), help="Choose without these classes.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same choice.")
@click.option("--files-from", type=PATH, help="Write the list of files for a downloader.")
@click.option("--link", type=PATH, help="Make the release tree here with symbolic links.")
@click.option("--copy", "copy_to", type=PATH, help="Make the release tree here with copies.")
@quiet_option
@example("dmanet-data subset manifest.json --budget 40GB -o subset.json --files-from files.txt")
def subset(
    manifest: Path,
    budget: str,
    output: Path,
    strategy: str,
    classes: tuple[str, ...] | None,
    exclude_classes: tuple[str, ...] | None,
    seed: int,
    files_from: Path | None,
    link: Path | None,
    copy_to: Path | None,
    quiet: bool,
) -> None:
    """Choose whole recordings of MANIFEST within a budget of bytes.

    Strategies: stratified keeps the class shares, balanced raises rare classes, uniform draws at
    random, first takes them in order. Prints how the class shares drift.
    """
    from pipeline.files.whole import written_whole
    from pipeline.selection import subset as choosing
    from pipeline.selection.manifest import read_manifest, write_manifest
    from pipeline.selection.tree import assemble_tree
    from pipeline.statistics.info import format_bytes

    chosen = choosing.choose_subset(
        read_manifest(manifest),
        choosing.parse_size(budget),
        strategy,
        classes=classes,
        exclude_classes=exclude_classes,
        seed=seed,
    )
    write_manifest(chosen.manifest, output)
    if files_from:
        with written_whole(files_from) as unfinished:
            unfinished.write_text("\n".join(choosing.files_from(chosen.manifest)) + "\n")
    for folder, mode in ((link, "link"), (copy_to, "copy")):
        if folder:
            with progress_bar(None, "file", quiet) as bar:
                assemble_tree(chosen.manifest, folder, mode, progress=reach(bar))
    click.echo(chosen.drift.table())
    rows = chosen.manifest.recordings
    size = sum(choosing.recording_size(row) for row in rows)
    guess = (
        ", with event files that are not here guessed at the release's mean size"
        if chosen.manifest.subset and chosen.manifest.subset.estimated
        else ""
    )
    click.echo(
        f"{output}: {len(rows)} recordings, {format_bytes(size)} of a budget of {budget}{guess}."
    )
