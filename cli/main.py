"""`dmanet`: train, evaluate and use the detector, from a pillar cache."""

import click

from cli import model
from cli.verbs import VerbGroup


@click.group(cls=VerbGroup, verbs={**model.VERBS, "demo": "cli.demo:demo"})
@click.version_option(package_name="dmanet-events")
def main() -> None:
    """DMANet on a pillar cache: train it, score it, look at what it finds.

    `dmanet-data` makes the cache. Every command has an example in its help.
    """


if __name__ == "__main__":
    main()
