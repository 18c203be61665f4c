"""`dmanet-data anchors`: anchors that fit a cache's boxes, as settings."""

from pathlib import Path

import click

from cli.distinct import DistinctPaths
from cli.options import example
from cli.paths import InputCache, OutputFile
from pipeline.files.outputs import STANDARD_OUTPUT


@click.command(cls=DistinctPaths)
@click.argument("cache", type=InputCache())
@click.option(
    "-o",
    "--output",
    type=OutputFile(standard_output=True),
    default=STANDARD_OUTPUT,
    help="YAML file to write; standard output without it.",
)
@example(
    "dmanet-data anchors cache -o anchors.yaml",
    "dmanet train cache --run-dir runs/own --config anchors.yaml",
)
def anchors(cache: str, output: Path) -> None:
    """Print anchors that fit the boxes of CACHE, to be pasted into a recipe.

    A comment says how many boxes of each class lack a positive anchor, with the anchors of the
    release and with these. They are as many as the release's: the network costs the same.
    """
    from pipeline.cache.reader import PillarCache
    from pipeline.files.whole import written_whole
    from pipeline.statistics.anchor_settings import anchors_yaml
    from pipeline.statistics.anchors import collect_anchors

    with written_whole(output) as unfinished:
        unfinished.write_text(anchors_yaml(collect_anchors(PillarCache(cache))), encoding="utf-8")
    if output != STANDARD_OUTPUT:
        click.echo(f"{output}: anchors for {cache}; `dmanet train --config {output}` takes them.")
