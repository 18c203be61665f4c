"""`dmanet export-weights`: from our network to the released code's names."""

from pathlib import Path

import click

from cli.options import PATH, example


@click.command("export-weights")
@click.argument("checkpoint", type=PATH)
@click.argument("out", type=PATH)
@example("dmanet export-weights runs/one/last.pt released-names.pth")
def export_weights(checkpoint: Path, out: Path) -> None:
    """Write the network of CHECKPOINT to OUT under the released code's names.

    The one matrix that the released network holds and never reads is written as zeros.
    """
    from dmanet.runs.released_weights import save_released
    from dmanet.runs.weights import load_weights

    save_released(out, load_weights(checkpoint))
    click.echo(f"{out}: weights under the released names.")
