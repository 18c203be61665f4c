"""The names that commands offer are those that `pipeline` and `dmanet` define."""

from typing import get_args

import pytest

from cli import choices
from cli.model.bench import bench
from cli.model.train import train
from dmanet.device import PRECISIONS
from dmanet.evaluation.protocols import PROTOCOLS
from dmanet.recipes import RUN_PRESETS as RECIPES
from pipeline.pillars.settings import Dedup, Overflow, Preset
from pipeline.release.shards import SPLITS


@pytest.mark.parametrize(
    ("offered", "defined"),
    [
        (choices.SPLITS, SPLITS),
        (choices.PRESETS, get_args(Preset)),
        (choices.DEDUPLICATIONS, get_args(Dedup)),
        (choices.OVERFLOWS, get_args(Overflow)),
        (choices.PROTOCOLS, PROTOCOLS),
        (choices.PRECISIONS, [name for name in PRECISIONS if name != "fp16"]),
    ],
)
def test_a_choice_offers_what_is_defined(offered, defined):
    assert list(offered.choices) == list(defined)


@pytest.mark.parametrize("command", [train, bench])
def test_every_recipe_can_be_named(command):
    (train_preset,) = [option for option in train.params if option.name == "preset"]
    assert all(name in train_preset.help for name in RECIPES)
    (preset,) = [option for option in command.params if option.name == "preset"]
    assert not isinstance(preset.default, str) or preset.default in RECIPES
