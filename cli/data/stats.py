"""`dmanet-data stats`: a report on a cache or a manifest."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.data.cache_or_manifest import open_cache_or_manifest
from cli.distinct import DistinctPaths
from cli.options import example, processes_option, quiet_option
from cli.paths import InputCacheOrFile, OutputFile, lines_beside
from cli.progress import progress_bar, reach

if TYPE_CHECKING:
    from pipeline.statistics.other import OtherStatistics


@click.command(cls=DistinctPaths)
@click.argument("source", type=InputCacheOrFile())
@click.option(
    "-o",
    "--output",
    type=OutputFile(standard_output=True),
    required=True,
    help="HTML report to write; - for standard output.",
)
@click.option(
    "--json",
    "json_output",
    type=OutputFile(standard_output=True),
    help="Write the numbers here as JSON; - for standard output.",
)
@click.option(
    "--compare",
    "other",
    type=InputCacheOrFile(),
    help="A second cache, manifest or JSON file of statistics to lay beside the first.",
)
@processes_option
@quiet_option
@example(
    "dmanet-data stats cache -o report.html --json report.json",
    "dmanet-data stats subset.json -o report.html --compare manifest.json",
)
def stats(
    source: str,
    output: Path,
    json_output: Path | None,
    other: str | None,
    workers: int,
    quiet: bool,
) -> None:
    """Write a report on a cache or a manifest: labels, anchors, event rates, pillars, defects.

    The HTML file stands alone and opens without a network.
    """
    from pipeline.report.example_windows import draw_example_events, draw_example_windows
    from pipeline.report.page import write_report
    from pipeline.report.window_pictures import draw_worst_windows
    from pipeline.selection.manifest import Manifest
    from pipeline.statistics.collect import collect_statistics, write_statistics
    from pipeline.statistics.comparison import compare_statistics
    from pipeline.statistics.other import comparable

    opened = open_cache_or_manifest(source)
    beside = None if other is None else _comparable(other, workers, quiet)
    with progress_bar(None, "recording", quiet) as bar:
        statistics = collect_statistics(opened, reach(bar), workers)
    if beside is not None:
        comparison = compare_statistics(comparable(statistics), beside)
        statistics = replace(statistics, comparison=comparison)
    if isinstance(opened, Manifest):
        faulty, examples = draw_worst_windows(opened), draw_example_events(opened)
        write_report(statistics, output, faulty, examples)
    else:
        write_report(statistics, output, examples=draw_example_windows(opened))
    if json_output:
        write_statistics(statistics, json_output)
    lines_beside(output, json_output)(f"{output}: report on {source}.")


def _comparable(source: str, workers: int, quiet: bool) -> "OtherStatistics":
    """What another source is compared by: of a file of statistics, or measured now."""
    from pipeline.statistics.collect import collect_statistics
    from pipeline.statistics.other import comparable, is_statistics_file, read_comparable

    path = Path(source)
    if "://" not in source and not path.is_dir() and is_statistics_file(path):
        return read_comparable(path)
    opened = open_cache_or_manifest(source)
    with progress_bar(None, "recording of the other", quiet) as bar:
        return comparable(collect_statistics(opened, reach(bar), workers))
