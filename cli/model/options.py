"""Options that several commands of the network share."""

from typing import TYPE_CHECKING

import click

from cli.choices import PRECISIONS
from cli.options import PATH

if TYPE_CHECKING:
    import torch

    from dmanet.evaluation.streaming import StreamSettings

config_option = click.option(
    "--config", type=PATH, help="YAML file of settings that differ from the preset."
)
overrides_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A single setting; repeatable."
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1; auto takes a GPU."
)
precision_option = click.option(
    "--precision",
    type=PRECISIONS,
    default="auto",
    show_default=True,
    help="auto is bf16 where the device computes in it.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Processes that read ahead; 0 for none.",
)
steps_option = click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Windows computed at a time; memory is carried over all of them.",
)


def stream_settings(
    device: "torch.device", precision: str, steps: int, workers: int
) -> "StreamSettings":
    """How recordings are run, from ``--precision``, ``--steps`` and ``--workers``.

    Raises:
        UsageError: the precision is unknown.
    """
    from dmanet.device import choose_precision
    from dmanet.evaluation.streaming import StreamSettings

    return StreamSettings(device, choose_precision(precision, device), steps, workers)
