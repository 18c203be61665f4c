"""`docs/training.md`: its table of recipes is what the presets hold."""

from pathlib import Path

import pytest

from dmanet.recipes import RUN_PRESETS

PAGE = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
TABLE = PAGE.split("## Recipes")[1].split("\n\n")[1].splitlines()
ROWS = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in TABLE]


def test_the_table_names_every_preset():
    assert ROWS[0] == ["setting", *RUN_PRESETS]


@pytest.mark.parametrize("row", ROWS[2:], ids=lambda row: row[0])
def test_every_value_is_that_of_its_preset(row):
    key, *stated = row
    group, name = key.split(".")
    held = [getattr(getattr(preset, group), name) for preset in RUN_PRESETS.values()]
    assert stated == [str(value) for value in held]


def test_what_the_recipes_differ_in_is_in_the_table():
    keys = {row[0] for row in ROWS[2:]}
    for group in ("training", "loss", "augmentation"):
        values = [getattr(preset, group).model_dump() for preset in RUN_PRESETS.values()]
        differing = {k for k in values[0] if any(v[k] != values[0][k] for v in values)}
        assert {f"{group}.{name}" for name in differing} <= keys
