"""A cache or a manifest, whichever is named: how commands open it and print its facts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipeline.cache.reader import PillarCache
    from pipeline.selection.manifest import Manifest


def open_cache_or_manifest(source: str) -> "PillarCache | Manifest":
    """A cache for a folder or an address with ``://``, a manifest for a file."""
    from pipeline.cache.reader import PillarCache
    from pipeline.selection.manifest import read_manifest

    if "://" in source or Path(source).is_dir():
        return PillarCache(source)
    return read_manifest(Path(source))


def print_info(
    facts: dict[str, Any], as_json: bool, say: Callable[[str], None] = click.echo
) -> None:
    """Facts of a cache or a manifest, for a person or for a program.

    Args:
        facts: of either.
        as_json: for a program.
        say: prints.
    """
    from pipeline.statistics.info import info_lines

    say(json.dumps(facts, indent=2) if as_json else "\n".join(info_lines(facts)))
