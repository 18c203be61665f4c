"""What the commands let a user choose among, by name.

Where a name's meaning stands in a module that imports numpy, pydantic or torch, the name stands here a
second time so that ``--help`` imports none of them; a test holds each list against its origin.
"""

import click

from pipeline.selection.strategy import Strategy
from pipeline.voxelizing.policy import CorruptPolicy

SPLITS = click.Choice(["train", "val", "test"])
STRATEGIES = click.Choice([one.value for one in Strategy])
PRESETS = click.Choice(["release", "paper"])
DEDUPLICATIONS = click.Choice(["pixel", "none"])
OVERFLOWS = click.Choice(["skip", "stop"])
POLICIES = click.Choice([one.value for one in CorruptPolicy])
PROTOCOLS = click.Choice(["release", "prophesee", "rvt"])
PRECISIONS = click.Choice(["auto", "fp32", "bf16"])  # to detect in; fp16 is for training
