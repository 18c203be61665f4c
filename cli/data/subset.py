"""`dmanet-data subset`: whole recordings of a manifest within a budget."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cli.choices import STRATEGIES
from cli.classes import ClassNames
from cli.data.subset_options import Budget, Shares
from cli.distinct import DistinctPaths
from cli.numbers import SEED, Real
from cli.options import example, quiet_option
from cli.paths import InputFile, OutputFile, OutputFolder, lines_beside
from cli.progress import progress_bar, reach
from pipeline.errors import UsageError


@click.command(cls=DistinctPaths)
@click.argument("manifest", type=InputFile())
@click.option(
    "--budget",
    type=Budget(),
    help="At most, such as 40GB, or for each split such as train=30GB,val=5GB.",
)
@click.option("--recipe", type=InputFile(), help="Choose as this YAML file says.")
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
@click.option("--target", type=Shares(), help="Class shares to come near; the strategy target.")
@click.option("--classes", type=ClassNames(), help="Choose for these classes only.")
@click.option("--exclude-classes", type=ClassNames(), help="Choose without these classes.")
@click.option(
    "--include", multiple=True, metavar="PATTERN", help="Choose among ids like 'train/*' only."
)
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Choose without ids like this.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Same seed, same choice.")
@click.option(
    "--time-limit",
    type=Real(min=0),
    default=120.0,
    show_default=True,
    help="Seconds for the solver; a choice that this cuts says so.",
)
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
@click.pass_context
def subset(
    ctx: click.Context,
    manifest: Path,
    budget: int | dict[str, int] | None,
    recipe: Path | None,
    output: Path,
    files_from: Path | None,
    null: bool,
    link: Path | None,
    copy_to: Path | None,
    time_limit: float,
    quiet: bool,
    **how: Any,
) -> None:
    """Choose whole recordings of MANIFEST within a budget of bytes.

    Strategies: stratified keeps the class shares, balanced makes the smallest one as large as can
    be, target comes near to given ones, uniform draws at random, first takes recordings in order.
    Prints how the class shares drift, how full and how spread the choice is, and how far from the
    best it can be.
    """
    from pipeline.selection import subset as choosing
    from pipeline.selection.file_list import file_list, write_file_list
    from pipeline.selection.manifest import read_manifest, write_manifest
    from pipeline.selection.reached import reached_lines
    from pipeline.selection.recipe import choose_by_recipe, read_recipe, recordings_digest
    from pipeline.selection.tree import assemble_tree
    from pipeline.statistics.info import format_bytes

    _require_one_way(ctx, recipe)
    if how["target"] and ctx.get_parameter_source("strategy") == ParameterSource.DEFAULT:
        how["strategy"] = "target"
    if recipe:
        chosen = choose_by_recipe(
            read_manifest(manifest), read_recipe(recipe), time_limit=time_limit
        )
    else:
        chosen = choosing.choose_subset(
            read_manifest(manifest),
            budget,  # type: ignore[arg-type]
            time_limit=time_limit,
            **how,
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
    rows, provenance = chosen.manifest.recordings, chosen.manifest.subset
    assert provenance is not None
    for line in reached_lines(provenance.reached or {}, provenance.strategy):
        say(line)
    size = sum(choosing.recording_size(row) for row in rows)
    guess = (
        ", with event files that are not here guessed at the release's mean size"
        if provenance.estimated
        else ""
    )
    say(
        f"{output}: {len(rows)} recordings, {format_bytes(size)} of a budget of "
        f"{format_bytes(provenance.budget)}{guess}; recordings_digest "
        f"{recordings_digest(chosen.manifest)}."
    )


_OF_THE_RECIPE = (
    "budget",
    "strategy",
    "target",
    "classes",
    "exclude_classes",
    "include",
    "exclude",
    "seed",
)


def _require_one_way(ctx: click.Context, recipe: Path | None) -> None:
    """A recipe or a budget, and nothing besides a recipe that it states."""
    given = [
        name
        for name in _OF_THE_RECIPE
        if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE
    ]
    if recipe and given:
        option = given[0].replace("_", "-")
        raise UsageError(f"--{option} and --recipe both say how to choose; leave one of them out.")
    if not recipe and "budget" not in given:
        raise UsageError("give --budget, such as 40GB, or --recipe.")
