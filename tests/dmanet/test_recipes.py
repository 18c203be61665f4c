import json
from pathlib import Path

import pytest

from dmanet.data.augmentation import AugmentationSettings
from dmanet.recipes import (
    RUN_PRESETS,
    resolve_model_settings,
    resolve_settings,
    to_yaml,
)
from dmanet.settings import MODEL_PRESETS, ModelSettings
from pipeline.errors import SettingsError


def one_sentence(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_single_keys_win_over_the_file_and_the_file_over_the_preset(tmp_path: Path):
    config = tmp_path / "run.yaml"
    config.write_text("training: {epochs: 3, steps: 7}\nmodel: {stem_width: 24}\n")
    settings = resolve_settings("tiny", config, ["training.steps=5"])
    assert (settings.training.epochs, settings.training.steps) == (3, 5)
    assert settings.model.stem_width == 24
    assert settings.model.feature_size == RUN_PRESETS["tiny"].model.feature_size


@pytest.mark.parametrize("preset", RUN_PRESETS)
def test_resolved_settings_read_back_from_their_yaml(tmp_path: Path, preset):
    settings = resolve_settings(preset, None, ["training.seed=4"])
    path = tmp_path / "settings.yaml"
    path.write_text(to_yaml(settings))
    other = "default" if preset == "tiny" else "tiny"
    assert resolve_settings(other, path) == settings


@pytest.mark.parametrize("preset", ["paper", "notes"])
def test_published_recipes_have_the_released_network_and_no_augmentation(preset):
    settings = RUN_PRESETS[preset]
    assert settings.model == MODEL_PRESETS["dmanet18"] == ModelSettings()
    assert settings.augmentation == AugmentationSettings()
    assert settings.training.init_from is None


def test_a_part_of_a_network_in_a_file_leaves_the_preset_how_its_memories_begin(tmp_path: Path):
    config = tmp_path / "run.yaml"
    config.write_text("model: {stem_width: 24}\n")
    assert resolve_settings("tiny", config).model.short_memory_init == "zero"
    whole = RUN_PRESETS["tiny"].model.model_dump(mode="json", exclude={"short_memory_init"})
    config.write_text(json.dumps({"model": whole}))
    assert resolve_settings("tiny", config).model.short_memory_init == "released"


def test_values_are_read_as_yaml():
    settings = resolve_settings("tiny", None, ["model.grid_size=[64, 96]", "training.epochs=2"])
    assert settings.model.grid_size == (64, 96)
    assert settings.training.epochs == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", "'training.epoch' is not a setting (there are epochs, "),
        ("traning.epochs=3", "'traning' is not a setting (there are model, loss, training, "),
        ("training.epochs=many", "training.epochs: "),
        ("training.epochs=0", "training.epochs: "),
        ("training=3", "'training' is a group of settings (epochs, "),
        ("training.classes=[car, 'a,b']", "training.classes.1: 'a,b' is no name"),
        ("training.classes=[car, car]", "training.classes: give each class once"),
        ("training.sampling=shuffled", "training.sampling: "),
        ("training.schedule=step", "training.schedule: "),
        ("training.ema_decay=1", "training.ema_decay: "),
        ("augmentation.flop=1", "'augmentation.flop' is not a setting (there are flip, "),
        ("training.epochs", "give a key and a value"),
        ("training.epochs=[", "the value is not YAML"),
        ("model.anchors.levels=[1]", "model.anchors"),
    ],
)
def test_a_wrong_key_or_value_is_one_sentence(override, message):
    with pytest.raises(SettingsError) as raised:
        resolve_settings("tiny", None, [override])
    assert message in one_sentence(raised)
    assert f"--set {override}" in str(raised.value)


@pytest.mark.parametrize("content", ["training: [\n", "- a list\n", "\x00", "training:\n  lr: 1\n"])
def test_a_wrong_file_is_one_sentence_that_names_it(tmp_path: Path, content):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError) as raised:
        resolve_settings("tiny", path)
    assert str(path) in one_sentence(raised)


def test_a_missing_file_and_an_unknown_preset_are_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"absent\.yaml"):
        resolve_settings("tiny", tmp_path / "absent.yaml")
    with pytest.raises(SettingsError, match="'huge' is unknown; there are default, paper, "):
        resolve_settings("huge")


def test_an_empty_file_changes_nothing(tmp_path: Path):
    (tmp_path / "empty.yaml").write_text("")
    assert resolve_settings("tiny", tmp_path / "empty.yaml") == RUN_PRESETS["tiny"]


def test_a_network_alone_is_resolved_from_its_own_presets():
    settings = resolve_model_settings("dmanet34", ["num_classes=1"])
    assert (settings.depth, settings.num_classes) == (34, 1)


def test_the_published_recipes_are_as_they_were_published():
    shared = {
        "optimizer": "adam",
        "warmup_epochs": 1,
        "schedule": "cosine",
        "epochs": 30,
        "steps": 10,
    }
    published = {
        "paper": {
            "learning_rate": 2e-4,
            "weight_decay": 0,
            "final_learning_rate": 0.1,
            "batch_size": 2,
        }
        | {"gradient_clip": 0.1},
        "notes": {"learning_rate": 2e-5, "weight_decay": 1e-4, "final_learning_rate": 0.01}
        | {"gradient_clip": 1.0},
    }
    for preset, values in published.items():
        settings = RUN_PRESETS[preset]
        recipe = settings.training.model_dump()
        wanted = shared | values | {"precision": "fp16", "ema_decay": 0, "sampling": "random"}
        assert {key: recipe[key] for key in wanted} == wanted
        assert not settings.loss.match_low_quality
        assert settings.augmentation == AugmentationSettings()
        assert settings.training.classes == ()


def test_classes_are_named_as_the_data_set_does():
    settings = resolve_settings("tiny", None, ["training.classes=[car, pedestrian]"])
    assert settings.training.classes == ("car", "pedestrian")
    assert RUN_PRESETS["tiny"].training.classes == ()


def test_what_cannot_work_together_is_refused():
    both = ["training.compile=true", "training.activation_checkpointing=true"]
    with pytest.raises(SettingsError, match="exclude each other"):
        resolve_settings(overrides=both)
    assert resolve_settings(overrides=both[:1]).training.compile


def test_a_number_of_processes_that_were_not_started_is_refused():
    settings = resolve_settings(overrides=["training.ranks=4"])
    with pytest.raises(SettingsError, match="2 processes were started"):
        settings.with_ranks(2)
    assert resolve_settings().with_ranks(2).training.ranks == 2
