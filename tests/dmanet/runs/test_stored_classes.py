import json

import pytest
from safetensors import safe_open

from dmanet.recipes import RUN_PRESETS
from dmanet.runs.claims import read_claims
from dmanet.runs.records import Weights
from dmanet.runs.stored_classes import names_of, stored_classes
from dmanet.runs.weights import load_weights, save_weights
from pipeline.release.classes import CLASS_MAPS
from pipeline.release.labels import CLASS_NAMES


@pytest.mark.parametrize("name", CLASS_MAPS)
def test_names_come_back_from_what_a_file_holds(name):
    names = CLASS_MAPS[name].classes
    assert names_of(json.loads(json.dumps(stored_classes(names)))) == names


def test_the_dluts_classes_are_stored_as_their_numbers_as_ever():
    assert stored_classes(CLASS_NAMES) == (0, 1, 2, 3, 4, 5, 6)
    assert stored_classes(("car", "pedestrian")) == (2, 0)
    assert stored_classes(("pedestrian", "vehicle")) == ("pedestrian", "vehicle")


@pytest.mark.parametrize(
    "stored",
    [
        *([], [7], [-1], [True], [1.0], [None], "car", 3, None, {}),
        *([0, "car"], ["car", "Car"], ["all"], ["a,b"], [""], ["\ud800"], ["a"] * 256, [[0]]),
    ],
)
def test_anything_else_is_refused(stored):
    with pytest.raises(ValueError, match="neither names nor numbers"):
        names_of(stored)


@pytest.mark.parametrize("names", [("dog", "car"), ("car", "pedestrian"), None])
def test_a_file_of_weights_says_the_names(tmp_path, names):
    path = tmp_path / "w.safetensors"
    settings = RUN_PRESETS["tiny"].model
    save_weights(path, Weights(settings, {}, names, "the test's"))
    assert load_weights(path).classes == read_claims(path).classes == names
    with safe_open(path, framework="pt") as file:
        stored = json.loads(file.metadata()["classes"])
    assert stored == {None: None, "dog": ["dog", "car"], "car": [2, 0]}[names and names[0]]
