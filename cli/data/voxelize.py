"""`dmanet-data voxelize`: build or continue a pillar cache."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.choices import DEDUPLICATIONS, OVERFLOWS, POLICIES, PRESETS
from cli.classes import ClassNames
from cli.data.cache_or_manifest import print_info
from cli.data.options import BoxFaultNames, PartNumber, box_size_options
from cli.distinct import DistinctPaths
from cli.options import example, exit_codes, json_option, processes_option
from cli.paths import InputFolder, InputPath, OutputFile, OutputFolder, lines_beside
from cli.signals import stop_requests
from cli.sizes import Size
from pipeline.errors import UsageError
from pipeline.files.outputs import STANDARD_OUTPUT

if TYPE_CHECKING:
    from pipeline.cache.lock import Part
    from pipeline.cache.settings import BoxFault
    from pipeline.pillars.settings import Dedup, Overflow, Preset


@click.command(cls=DistinctPaths)
@click.argument("source", type=InputPath())
@click.argument("cache", type=OutputFolder())
@click.option(
    "--root", type=InputFolder(), help="The release's folder, if the manifest names another."
)
@click.option(
    "--preset",
    type=PRESETS,
    default="release",
    show_default=True,
    help="release: as the released code computes; paper: float coordinates, several points.",
)
@click.option("--grid", type=Size(), default="512x512", show_default=True, help="Cells.")
@click.option(
    "--time-cells",
    type=click.IntRange(1, 4096),
    default=1,
    show_default=True,
    help="Cells along time.",
)
@click.option(
    "--max-points",
    type=click.IntRange(1, 7),
    default=5,
    show_default=True,
    help="Points a pillar.",
)
@click.option(
    "--max-pillars",
    type=click.IntRange(1, 2**29),
    default=100_000,
    show_default=True,
    help="Pillars a polarity.",
)
@click.option(
    "--dedup",
    type=DEDUPLICATIONS,
    default="pixel",
    show_default=True,
    help="Preset paper: keep the earliest event of a pixel, or all.",
)
@click.option(
    "--overflow",
    type=OVERFLOWS,
    default="skip",
    show_default=True,
    help="Preset paper, beyond --max-pillars: refuse new pillars, or drop all later events.",
)
@click.option(
    "--time-steps",
    type=click.IntRange(0, 4096),
    default=0,
    show_default=True,
    help="Preset paper: keep times as the N-th part of a window only, about a third smaller at "
    "256; 0 keeps every µs.",
)
@click.option("--classes", type=ClassNames(), help="Keep boxes of these classes only.")
@click.option(
    "--drop",
    type=BoxFaultNames(),
    default=(),
    help="Leave out boxes with these faults: duplicate-box, box-without-events, box-jump.",
)
@box_size_options
@processes_option
@click.option(
    "--scheduler", metavar="tcp://HOST:PORT", help="Use the dask cluster at this address instead."
)
@click.option(
    "--parts",
    "part",
    type=PartNumber(),
    help="Do part I of N; N processes may then write one cache at once, each its own part.",
)
@click.option(
    "--skip-missing",
    is_flag=True,
    help="Leave recordings of a manifest whose files are not all on disk to a later run.",
)
@click.option(
    "--on-corrupt",
    type=POLICIES,
    default="quarantine",
    show_default=True,
    help="Leave a broken window out, stop, or repeat the one before it as the release does.",
)
@click.option(
    "--report",
    "report_path",
    type=OutputFile(standard_output=True),
    help="Write what was left out here as JSON; - for standard output.",
)
@json_option
@click.option("--quiet", is_flag=True, help="No progress bar, and one line at the end.")
@example("dmanet-data voxelize subset.json cache --workers 2")
@exit_codes(
    "0    every recording asked for is complete",
    "1    a recording failed, or the run could not go on",
    "2    the request makes no sense",
    "3    complete, but windows are left out or repeated (in this run or an earlier one)",
    "130  stopped by Ctrl-C, 143 by SIGTERM; the same command continues",
)
def voxelize(
    source: Path,
    cache: Path,
    root: Path | None,
    preset: "Preset",
    grid: tuple[int, int],
    time_cells: int,
    max_points: int,
    max_pillars: int,
    dedup: "Dedup",
    overflow: "Overflow",
    time_steps: int,
    classes: tuple[str, ...] | None,
    drop: "tuple[BoxFault, ...]",
    min_diagonal: float | None,
    min_side: float | None,
    workers: int,
    scheduler: str | None,
    part: "Part | None",
    skip_missing: bool,
    on_corrupt: str,
    report_path: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Build or continue the pillar cache CACHE from a manifest or a release's folder.

    Run it again after an interruption or with more recordings: what is complete stays, whether or
    not its source files are still on disk.
    """
    if as_json and report_path == STANDARD_OUTPUT:
        raise UsageError(
            "--json and --report - both print on standard output; give --report a file."
        )
    with stop_requests() as request:
        from cli.data.voxelize_output import Progress, exit_code, print_outcome, summary
        from pipeline.cache.reader import PillarCache
        from pipeline.cache.settings import CacheSettings
        from pipeline.release.classes import class_numbers, name_to_store
        from pipeline.statistics.info import cache_info
        from pipeline.tasks.outcomes import Stopped
        from pipeline.voxelizing.outcome import write_report
        from pipeline.voxelizing.run import voxelize as make_cache
        from pipeline.voxelizing.source import open_source

        opened = open_source(source, cache, root=root, part=part, skip_missing=skip_missing)
        class_map = opened.class_map
        settings = CacheSettings(
            preset=preset,
            grid=grid,
            time_cells=time_cells,
            max_points=max_points,
            max_pillars=max_pillars,
            dedup=dedup,
            overflow=overflow,
            time_steps=time_steps,
            min_diagonal=class_map.min_diagonal if min_diagonal is None else min_diagonal,
            min_side=class_map.min_side if min_side is None else min_side,
            classes=class_numbers(classes, class_map.classes),
            class_names=class_map.classes,
            drop=drop,
            data_set=name_to_store(class_map),
        )
        progress = Progress(request, quiet)
        try:
            report = make_cache(
                opened.recordings,
                opened.sensor_of,
                cache,
                settings,
                workers=workers,
                scheduler=scheduler,
                part=part,
                on_corrupt=on_corrupt,
                watcher=progress,
            )
        except Stopped as stopped:
            progress.close()
            click.echo(str(stopped), err=True)
            raise click.exceptions.Exit(request.exit_code) from None
        finally:
            progress.close()
    report.waiting += opened.waiting
    if report_path:
        write_report(report, cache, report_path)
    facts, say = cache_info(PillarCache(cache)), lines_beside(report_path)
    if quiet and not as_json:
        say(summary(facts, cache, report))
    else:
        print_info(facts, as_json, say)
    print_outcome(report)
    raise click.exceptions.Exit(exit_code(report))
