"""`dmanet-data`: from raw recordings or the DLUT release to a verified pillar cache.

Commands parse, call and print; the work is in `pipeline`, imported inside each command so that
``--help`` answers at once.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.cache_commands import info, open_cache_or_manifest, print_info, show, verify
from cli.errors import OneLineErrors
from cli.options import (
    ClassNames,
    Counts,
    PartNumber,
    Size,
    box_size_options,
    class_numbers,
    example,
    json_option,
    progress_bar,
    quiet_option,
)
from cli.signals import stop_requests
from cli.voxelizing import Progress, exit_code, print_outcome

if TYPE_CHECKING:
    from pipeline.cache.lock import Part
    from pipeline.pillars.settings import Dedup, Overflow, Preset

_PATH = click.Path(path_type=Path)
_SPLIT = click.Choice(["train", "val", "test"])
_STRATEGIES = click.Choice(["stratified", "balanced", "uniform", "first"])


@click.group(cls=OneLineErrors)
@click.version_option(package_name="dmanet-events")
def main() -> None:
    """Event-camera data for DMANet: choose it, look at it, turn it into a pillar cache.

    The usual way: scan a release, choose a subset, voxelize it, look at the statistics. Every
    command has an example in its help.
    """


@main.command()
@click.argument("out", type=_PATH)
@click.option("--seed", default=0, show_default=True, help="Same seed, same bytes.")
@click.option("--size", type=Size(), default="1280x720", show_default=True, help="Sensor, pixels.")
@click.option("--rate", default=200_000, show_default=True, help="Mean events a 50 ms window.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of a recording.")
@click.option(
    "--recordings",
    type=Counts(),
    default="train=4,val=1,test=1",
    show_default=True,
    help="How many in each split.",
)
@click.option("--objects", default=12, show_default=True, help="Tracks in a recording.")
@click.option("--classes", type=ClassNames(), help="Classes to show; all seven if not given.")
@click.option("--defects", default="", help="Faults to plant, by name with commas, or `all`.")
@click.option("--workers", default=1, show_default=True, help="Processes.")
@quiet_option
@example("dmanet-data simulate sim --size 640x360 --rate 30000 --recordings train=8,test=2")
def simulate(
    out: Path,
    seed: int,
    size: tuple[int, int],
    rate: int,
    seconds: float,
    recordings: dict[str, int],
    objects: int,
    classes: tuple[str, ...] | None,
    defects: str,
    workers: int,
    quiet: bool,
) -> None:
    """Write a simulated release to OUT, in the real format.

    Textured objects of seven classes move over a textured ground in front of a moving event camera;
    boxes come from their true positions.
    """
    from pipeline.simulation.recordings import SimulationSettings, simulate_release
    from pipeline.statistics.info import format_bytes

    settings = SimulationSettings(
        seed=seed,
        sensor=size,
        recordings=recordings,
        seconds=seconds,
        rate=rate,
        classes=class_numbers(classes),
        objects=objects,
        defects=_defects(defects),
    )
    total = sum(recordings.values()) * settings.shards * 10
    with progress_bar(total, "window", quiet) as bar:
        summary = simulate_release(out, settings, bar.update, workers)
    windows = sum(r.windows for r in summary.recordings)
    events = sum(r.events for r in summary.recordings)
    size_on_disk = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    click.echo(
        f"{out}: {len(summary.recordings)} recordings, {windows} windows, "
        f"{events / windows:,.0f} events a window, {format_bytes(size_on_disk)}."
    )
    for planted in summary.defects:
        click.echo(f"planted {planted}")


def _defects(text: str) -> tuple[Any, ...]:
    from pipeline.defects import Defect
    from pipeline.errors import UsageError

    if text == "all":
        return tuple(Defect)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in list(Defect):
            raise UsageError(f"'{name}' is no defect; choose from {', '.join(Defect)}, or all.")
    return tuple(Defect(name) for name in names)


@main.command()
@click.argument("raw", type=_PATH, nargs=-1, required=True)
@click.argument("out", type=_PATH)
@click.option("--split", type=_SPLIT, default="train", show_default=True, help="Where they go.")
@click.option(
    "--skip", default=0.5, show_default=True, help="Seconds left out at a recording's begin."
)
@quiet_option
@example("dmanet-data ingest recordings/*_td.dat release --split test")
def ingest(raw: tuple[Path, ...], out: Path, split: str, skip: float, quiet: bool) -> None:
    """Turn raw recordings (DAT or HDF5) into release shards under OUT.

    Boxes are read from `<name>_bbox.npy` beside a recording where there is one.
    """
    from pipeline.ingest.convert import ingest_recording

    for path in raw:
        with progress_bar(None, "window", quiet, desc=path.name) as bar:
            summary = ingest_recording(
                path, out, split, skip_us=round(skip * 1e6), progress=bar.update
            )
        for line in summary.lines():
            click.echo(line)


@main.command()
@click.argument("root", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, help="Manifest to write.")
@click.option("--labels-only", is_flag=True, help="Read label files only (events not on disk).")
@box_size_options
@click.option("--workers", default=1, show_default=True, help="Threads.")
@json_option
@quiet_option
@example("dmanet-data scan prophesee_dlut -o manifest.json")
def scan(
    root: Path,
    output: Path,
    labels_only: bool,
    min_diagonal: float,
    min_side: float,
    workers: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Walk the release at ROOT and write down what every recording holds."""
    from pipeline.release.labels import LabelRules
    from pipeline.selection.manifest import write_manifest
    from pipeline.selection.scan import scan_release
    from pipeline.statistics.info import manifest_info

    with progress_bar(None, "shard", quiet) as bar:
        manifest = scan_release(
            root,
            labels_only=labels_only,
            rules=LabelRules(min_diagonal=min_diagonal, min_side=min_side),
            workers=workers,
            progress=_bar(bar),
        )
    write_manifest(manifest, output)
    print_info(manifest_info(manifest), as_json)


def _bar(bar: Any) -> Any:
    def move(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return move


@main.command()
@click.argument("manifest", type=_PATH)
@click.option("--budget", required=True, help="Bytes at most, such as 40GB or 500MB.")
@click.option("-o", "--output", type=_PATH, required=True, help="Manifest of the subset to write.")
@click.option(
    "--strategy",
    type=_STRATEGIES,
    default="stratified",
    show_default=True,
    help="What decides between recordings.",
)
@click.option("--classes", type=ClassNames(), help="Choose for these classes only.")
@click.option("--exclude-classes", type=ClassNames(), help="Choose without these classes.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same choice.")
@click.option("--files-from", type=_PATH, help="Write the list of files for a downloader.")
@click.option("--link", type=_PATH, help="Make the release tree here with symbolic links.")
@click.option("--copy", "copy_to", type=_PATH, help="Make the release tree here with copies.")
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
    from pipeline.files import written_whole
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
                assemble_tree(chosen.manifest, folder, mode, progress=_bar(bar))
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


@main.command()
@click.argument("source", type=_PATH)
@click.argument("cache", type=_PATH)
@click.option("--root", type=_PATH, help="The release's folder, if the manifest names another.")
@click.option(
    "--preset",
    type=click.Choice(["release", "paper"]),
    default="release",
    show_default=True,
    help="release: as the released code computes; paper: float coordinates, several points.",
)
@click.option("--grid", type=Size(), default="512x512", show_default=True, help="Cells.")
@click.option("--time-cells", default=1, show_default=True, help="Cells along time.")
@click.option("--max-points", default=5, show_default=True, help="Points a pillar.")
@click.option("--max-pillars", default=100_000, show_default=True, help="Pillars a polarity.")
@click.option(
    "--dedup",
    type=click.Choice(["pixel", "none"]),
    default="pixel",
    show_default=True,
    help="Preset paper: keep the earliest event of a pixel, or all.",
)
@click.option(
    "--overflow",
    type=click.Choice(["skip", "stop"]),
    default="skip",
    show_default=True,
    help="Preset paper, beyond --max-pillars: refuse new pillars, or drop all later events.",
)
@click.option(
    "--time-steps",
    default=0,
    show_default=True,
    help="Preset paper: keep times as the N-th part of a window only, about a third smaller at "
    "256; 0 keeps every µs.",
)
@click.option("--classes", type=ClassNames(), help="Keep boxes of these classes only.")
@box_size_options
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes on this machine.",
)
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
    type=click.Choice(["quarantine", "fail", "repeat"]),
    default="quarantine",
    show_default=True,
    help="Leave a broken window out, stop, or repeat the one before it as the release does.",
)
@click.option("--report", "report_path", type=_PATH, help="Write what was left out here as JSON.")
@json_option
@quiet_option
@example("dmanet-data voxelize subset.json cache --workers 2")
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
    min_diagonal: float,
    min_side: float,
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

    \b
    Exit codes:
      0    every recording asked for is complete
      1    a recording failed, or the run could not go on
      2    the request makes no sense
      3    complete, but windows are left out or repeated (in this run or an earlier one)
      130  stopped by Ctrl-C, 143 by SIGTERM; the same command continues
    """
    with stop_requests() as request:
        from pipeline.cache.reader import PillarCache
        from pipeline.cache.records import CacheSettings
        from pipeline.release.shards import SENSOR_SIZE
        from pipeline.statistics.info import cache_info
        from pipeline.tasks.processes import Stopped
        from pipeline.voxelizing.outcome import write_report
        from pipeline.voxelizing.run import voxelize as make_cache
        from pipeline.voxelizing.source import open_source

        settings = CacheSettings(
            preset=preset,
            grid=grid,
            time_cells=time_cells,
            max_points=max_points,
            max_pillars=max_pillars,
            dedup=dedup,
            overflow=overflow,
            time_steps=time_steps,
            min_diagonal=min_diagonal,
            min_side=min_side,
            classes=class_numbers(classes),
        )
        opened = open_source(source, cache, root=root, part=part, skip_missing=skip_missing)
        progress = Progress(request, quiet)
        try:
            report = make_cache(
                opened.recordings,
                lambda recording: opened.sensors.get(recording, SENSOR_SIZE),
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
    print_info(cache_info(PillarCache(cache)), as_json)
    print_outcome(report)
    raise click.exceptions.Exit(exit_code(report))


@main.command()
@click.argument("source", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, help="HTML report to write.")
@click.option("--json", "json_output", type=_PATH, help="Write the numbers here as JSON.")
@quiet_option
@example("dmanet-data stats cache -o report.html --json report.json")
def stats(source: Path, output: Path, json_output: Path | None, quiet: bool) -> None:
    """Write a report on a cache or a manifest: labels, event rates, pillars, defects.

    The HTML file stands alone and opens without a network.
    """
    from pipeline.report.page import write_report
    from pipeline.statistics.collect import collect_statistics, write_statistics

    opened = open_cache_or_manifest(str(source))
    with progress_bar(None, "recording", quiet) as bar:
        statistics = collect_statistics(opened, _bar(bar))
    write_report(statistics, output)
    if json_output:
        write_statistics(statistics, json_output)
    click.echo(f"{output}: report on {source}.")


for command in (verify, info, show):
    main.add_command(command)
