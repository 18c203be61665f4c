"""`dmanet export-weights`: from our network to the released code's names."""

from pathlib import Path

import click

from cli.distinct import DistinctPaths
from cli.options import example
from cli.paths import InputFile, OutputFile


@click.command("export-weights", cls=DistinctPaths)
@click.argument("checkpoint", type=InputFile())
@click.argument("out", type=OutputFile())
@example("dmanet export-weights runs/one/last.pt released-names.pth")
def export_weights(checkpoint: Path, out: Path) -> None:
    """Write the network of CHECKPOINT to OUT under the released code's names.

    The one matrix that the released network holds and never reads is written as zeros.
    """
    from dmanet.runs.claims import read_claims

    read_claims(checkpoint)  # what is none is told before torch is imported

    from dmanet.runs.released_weights import save_released
    from dmanet.runs.weights import load_weights

    save_released(out, load_weights(checkpoint))
    click.echo(f"{out}: weights under the released names.")
