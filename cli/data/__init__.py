"""`dmanet-data`: from raw recordings or the DLUT release to a verified pillar cache.

A command a module. They parse, call and print; the work is in `pipeline`, imported inside each command
so that ``--help`` answers at once.
"""

import click

from cli.verbs import VerbGroup

#: Every command of the program, and where it is.
VERBS = {
    "simulate": "cli.data.simulate:simulate",
    "ingest": "cli.data.ingest:ingest",
    "scan": "cli.data.scan:scan",
    "subset": "cli.data.subset:subset",
    "manifest": "cli.data.manifest:manifest",
    "voxelize": "cli.data.voxelize:voxelize",
    "verify": "cli.data.verify:verify",
    "info": "cli.data.info:info",
    "stats": "cli.data.stats:stats",
    "anchors": "cli.data.anchors:anchors",
    "show": "cli.data.show:show",
    "export": "cli.data.export:export",
}


@click.group(cls=VerbGroup, verbs=VERBS)
@click.version_option(package_name="dmanet-events")
def main() -> None:
    """Event-camera data for DMANet: choose it, look at it, turn it into a pillar cache.

    The usual way: scan a release, choose a subset, voxelize it, look at the statistics. Every
    command has an example in its help.
    """
