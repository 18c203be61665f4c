"""`dmanet-data manifest verify`: do a release's files hold what a manifest says?"""

from pathlib import Path

import click

from cli.options import example, exit_codes, quiet_option
from cli.paths import InputFile, InputFolder
from cli.progress import progress_bar


@click.command()
@click.argument("root", type=InputFolder())
@click.argument("manifest", type=InputFile())
@quiet_option
@exit_codes("0  every file is as the manifest says", "1  some are not", "2  wrong usage")
@example("dmanet-data manifest verify prophesee_dlut subset.json")
def verify(root: Path, manifest: Path, quiet: bool) -> None:
    """Compare sizes and SHA-256 of the files below ROOT with MANIFEST; a line for each wrong one.

    Reads every file once. Files that the manifest does not list are left alone.
    """
    from pipeline.selection.check import check_files
    from pipeline.selection.manifest import read_manifest

    expected = read_manifest(manifest)
    wrong = 0
    with progress_bar(expected.totals.bytes, "B", quiet, unit_scale=True) as bar:
        for line in check_files(expected, root, bar.update):
            bar.clear()
            click.echo(line, err=True)
            wrong += 1
    count = len(expected.recordings)
    if wrong:
        click.echo(
            f"{root}: faults found: {wrong}; fetch the files named above again.",
            err=True,
        )
        raise click.exceptions.Exit(1)
    unknown = (
        "; event files were not scanned, and only their presence is checked"
        if expected.labels_only
        else ""
    )
    click.echo(f"{root}: {count} recordings, every file is what {manifest} says{unknown}.")
