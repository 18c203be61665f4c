"""`dmanet report`: a run as one HTML page."""

from pathlib import Path

import click

from cli.distinct import DistinctPaths
from cli.options import example
from cli.paths import InputFile, InputFolder, OutputFile


@click.command(cls=DistinctPaths)
@click.argument("run", type=InputFolder())
@click.option(
    "-o",
    "--output",
    type=OutputFile(),
    help="The page.  [default: report.html in RUN]",
)
@click.option(
    "--result",
    type=InputFile(),
    help="The result of `dmanet evaluate --json` to show.  [default: evaluation.json in RUN]",
)
@click.option(
    "--pictures",
    type=InputFolder(),
    help="What `dmanet evaluate --pictures` wrote.  [default: the folder worst in RUN]",
)
@example("dmanet report runs/one -o one.html")
def report(run: Path, output: Path | None, result: Path | None, pictures: Path | None) -> None:
    """Write one page on a training run: curves, scores, errors, pictures, settings, origin.

    RUN is a folder that `train` made, finished or not. The page holds everything it shows, opens
    without a network, and fits paper. What `evaluate CACHE --checkpoint RUN/best.pt --json
    RUN/evaluation.json --pictures RUN/worst` leaves is found there.
    """
    from dmanet.reporting.run_page import render_run
    from dmanet.reporting.run_source import read_run_source
    from pipeline.files.outputs import check_file_output
    from pipeline.files.whole import written_whole

    page = output or run / "report.html"
    check_file_output(page)
    html = render_run(read_run_source(run, result), pictures)
    with written_whole(page) as unfinished:
        unfinished.write_text(html, encoding="utf-8")
    click.echo(f"{page}: report on {run}.")
