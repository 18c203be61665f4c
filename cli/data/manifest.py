"""`dmanet-data manifest`: manifests that people exchange."""

import click

from cli.options import example
from cli.verbs import VerbGroup

#: Every command of the group, and where it is.
VERBS = {
    "diff": "cli.data.manifest_diff:diff",
    "verify": "cli.data.manifest_verify:verify",
}


@click.group(cls=VerbGroup, verbs=VERBS)
@example("dmanet-data manifest diff mine.json theirs.json")
def manifest() -> None:
    """Compare two manifests, or a release's files with one."""
