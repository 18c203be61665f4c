"""Settings: presets, what is refused, and in which words."""

import json

import pytest

from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.settings import MODEL_PRESETS, ModelSettings, load_model_settings
from pipeline.errors import SettingsError


@pytest.mark.parametrize("preset", MODEL_PRESETS)
def test_a_preset_survives_json(preset):
    settings = MODEL_PRESETS[preset]
    assert load_model_settings(json.loads(settings.model_dump_json())) == settings


def test_every_setting_has_a_description():
    for model in (ModelSettings, AnchorSettings):
        assert all(field.description for field in model.model_fields.values())


@pytest.mark.parametrize(
    ("mapping", "named"),
    [
        ({"dept": 18}, "'dept' is not a setting"),
        ({"anchors": {"level": [3]}}, "'anchors.level' is not a setting"),
        ({"depth": 20}, "depth: "),
        ({"num_classes": 0}, "num_classes: "),
        ({"num_classes": "many"}, "not 'many'"),
        ({"similarity_eps": float("nan")}, "similarity_eps: "),
        ({"grid_size": [512, 31]}, "smaller than one cell"),
        ({"grid_size": 512}, "grid_size: "),
        ({"anchors": {"levels": [3, 5]}}, "without gaps"),
        ({"anchors": {"levels": [4, 3]}}, "ascending"),
        ({"anchors": {"scales": [0.0]}}, "greater than 0"),
        ({"anchors": {"ratios": []}}, "ratios: "),
    ],
)
def test_a_bad_setting_is_one_sentence_that_names_it_and_its_source(mapping, named):
    with pytest.raises(SettingsError, match=r"train\.yaml: ") as caught:
        load_model_settings(mapping, "train.yaml")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_setting_is_answered_with_those_of_its_own_group():
    with pytest.raises(SettingsError, match="base_scale"):
        load_model_settings({"anchors": {"base": 4}})


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        MODEL_PRESETS["dmanet18"].depth = 34
