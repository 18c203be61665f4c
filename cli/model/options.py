"""Options that several commands of the network share."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.choices import PRECISIONS
from cli.paths import InputFile, OutputFolder
from pipeline.files.outputs import require_new_folder

if TYPE_CHECKING:
    import torch

    from dmanet.evaluation.streaming import StreamSettings


class DeviceName(click.ParamType):
    """The name of a device; whether it is there is asked later, of torch."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name."""
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", str(value)):
            self.fail(f"'{value}' is unknown; choose auto, cpu, cuda or cuda:1.", param, ctx)
        return str(value)


class NewFolder(OutputFolder):
    """A folder that is to be made: nothing is there, or an empty one."""

    def check(self, text: str) -> Path:
        """The path of a folder that holds nothing."""
        path = super().check(text)
        require_new_folder(path)
        return path


#: Steps between two things; a run has fewer.
STEP_COUNT = click.IntRange(0, 2**31 - 1)

config_option = click.option(
    "--config", type=InputFile(), help="YAML file of settings that differ from the preset."
)
overrides_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A single setting; repeatable."
)
checkpoint_option = click.option(
    "--checkpoint", type=InputFile(), required=True, help="last.pt of a run, or weights."
)
device_option = click.option(
    "--device",
    type=DeviceName(),
    default="auto",
    show_default=True,
    help="cpu, cuda, cuda:1; auto takes a GPU.",
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
    type=click.IntRange(0, 256),
    default=0,
    show_default=True,
    help="Processes that read ahead; 0 for none.",
)
steps_option = click.option(
    "--steps",
    type=click.IntRange(1, 4096),
    default=10,
    show_default=True,
    help="Windows computed at a time; memory is carried over all of them.",
)


batch_option = click.option(
    "--batch",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Recordings computed side by side.",
)


def is_one_of_several() -> bool:
    """Whether torchrun, or something like it, started this process among others."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def stream_settings(
    device: "torch.device", precision: str, steps: int, workers: int, batch: int = 1
) -> "StreamSettings":
    """How recordings are run, from ``--precision``, ``--steps``, ``--workers`` and ``--batch``.

    Raises:
        UsageError: the precision is unknown.
    """
    from dmanet.device import choose_precision
    from dmanet.evaluation.streaming import StreamSettings

    return StreamSettings(device, choose_precision(precision, device), steps, workers, batch)
