"""`dmanet-data stats`: a report on a cache or a manifest."""

from pathlib import Path

import click

from cli.data.cache_or_manifest import open_cache_or_manifest
from cli.distinct import DistinctPaths
from cli.options import example, processes_option, quiet_option
from cli.paths import InputCacheOrFile, OutputFile, lines_beside
from cli.progress import progress_bar, reach


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
@processes_option
@quiet_option
@example("dmanet-data stats cache -o report.html --json report.json")
def stats(source: str, output: Path, json_output: Path | None, workers: int, quiet: bool) -> None:
    """Write a report on a cache or a manifest: labels, event rates, pillars, defects.

    The HTML file stands alone and opens without a network.
    """
    from pipeline.report.page import write_report
    from pipeline.report.window_pictures import draw_worst_windows
    from pipeline.selection.manifest import Manifest
    from pipeline.statistics.collect import collect_statistics, write_statistics

    opened = open_cache_or_manifest(source)
    with progress_bar(None, "recording", quiet) as bar:
        statistics = collect_statistics(opened, reach(bar), workers)
    write_report(
        statistics, output, draw_worst_windows(opened) if isinstance(opened, Manifest) else ()
    )
    if json_output:
        write_statistics(statistics, json_output)
    lines_beside(output, json_output)(f"{output}: report on {source}.")
