"""`dmanet import-weights`: from the released code's checkpoint to ours."""

from pathlib import Path

import click

from cli.distinct import DistinctPaths
from cli.options import example
from cli.paths import InputFile, OutputFile


@click.command("import-weights", cls=DistinctPaths)
@click.argument("checkpoint", type=InputFile())
@click.argument("out", type=OutputFile())
@click.option(
    "--preset", default="dmanet18", show_default=True, help="The network: dmanet18 or dmanet34."
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="A single setting of the network, such as num_classes=1; repeatable.",
)
@example("dmanet import-weights released.pth dmanet18.safetensors")
def import_weights(checkpoint: Path, out: Path, preset: str, overrides: tuple[str, ...]) -> None:
    """Convert a CHECKPOINT of the released code to OUT, a safetensors file with its settings.

    Every name must have its place and shape; otherwise all that do not fit are listed and nothing is
    written. Python objects in the checkpoint are never loaded.
    """
    from dmanet.recipes import resolve_model_settings
    from dmanet.runs.torch_archive import check_archive

    settings = resolve_model_settings(preset, overrides)
    check_archive(checkpoint)

    from dmanet.runs.records import Weights
    from dmanet.runs.released_names import from_released
    from dmanet.runs.released_weights import load_released
    from dmanet.runs.weights import save_weights

    tensors = from_released(load_released(checkpoint), settings, str(checkpoint))
    weights = Weights(settings, tensors, classes=None, source=str(out))
    save_weights(out, weights)
    click.echo(f"{out}: {len(tensors)} tensors, fingerprint {weights.fingerprint()}")
