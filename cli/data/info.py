"""`dmanet-data info`: what a cache or a manifest is."""

from pathlib import Path

import click

from cli.data.cache_or_manifest import open_cache_or_manifest, print_info
from cli.distinct import DistinctPaths
from cli.options import example, json_option
from cli.paths import InputCacheOrFile, InputFile
from pipeline.errors import UsageError


@click.command(cls=DistinctPaths)
@click.argument("source", type=InputCacheOrFile())
@click.option("--manifest", type=InputFile(), help="Say how much of this manifest a cache holds.")
@json_option
@example("dmanet-data info cache --manifest subset.json")
def info(source: str, manifest: Path | None, as_json: bool) -> None:
    """Say what a cache or a manifest is: contents, sizes, settings, what was left out."""
    from pipeline.cache.reader import PillarCache
    from pipeline.selection.manifest import read_manifest
    from pipeline.statistics.info import cache_info, manifest_info

    opened = open_cache_or_manifest(source)
    if isinstance(opened, PillarCache):
        print_info(cache_info(opened, read_manifest(manifest) if manifest else None), as_json)
    elif manifest:
        raise UsageError(f"{source}: is a manifest itself; --manifest is for a cache.")
    else:
        print_info(manifest_info(opened), as_json)
