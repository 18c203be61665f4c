"""What the commands let a user choose among, by name.

The names have their meaning in `pipeline` and `dmanet`, in modules that import numpy or torch. They
stand here a second time so that ``--help`` imports neither; a test holds each list against its origin.
"""

import click

SPLITS = click.Choice(["train", "val", "test"])
STRATEGIES = click.Choice(["stratified", "balanced", "uniform", "first"])
PRESETS = click.Choice(["release", "paper"])
DEDUPLICATIONS = click.Choice(["pixel", "none"])
OVERFLOWS = click.Choice(["skip", "stop"])
POLICIES = click.Choice(["quarantine", "fail", "repeat"])
PROTOCOLS = click.Choice(["release", "prophesee", "rvt"])
PRECISIONS = click.Choice(["auto", "fp32", "bf16"])  # to detect in; fp16 is for training
