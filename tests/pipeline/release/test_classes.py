import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SettingsError, UsageError
from pipeline.release.classes import (
    CLASS_MAPS,
    DLUT,
    ClassMap,
    class_map_of,
    class_numbers,
    read_class_map,
)
from pipeline.release.labels import CLASS_NAMES


def test_the_built_in_data_sets_are_as_published():
    assert CLASS_MAPS.keys() == {"dlut", "gen1", "1mpx", "etram"}
    assert CLASS_MAPS["1mpx"].classes == DLUT.classes == CLASS_NAMES
    gen1 = CLASS_MAPS["gen1"]
    assert gen1.classes == ("car", "pedestrian")
    assert (gen1.sensor, gen1.min_diagonal, gen1.min_side, gen1.skip) == ((304, 240), 30, 10, 0.5)
    assert CLASS_MAPS["etram"].classes == ("pedestrian", "vehicle", "micro-mobility")
    for name in ("dlut", "1mpx", "etram"):
        one = CLASS_MAPS[name]
        assert (one.sensor, one.min_diagonal, one.min_side) == ((1280, 720), 60, 20)


def test_a_yaml_file_is_a_class_map(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nclasses: [dog, big cat]\nsensor: [64, 48]\nmin_diagonal: 6\nmin_side: 2.5\n"
    )
    assert read_class_map(path) == ClassMap(
        name="mine", classes=("dog", "big cat"), sensor=(64, 48), min_diagonal=6.0, min_side=2.5
    )
    path.write_text("name: mine\nclasses: [dog]\n")
    assert (read_class_map(path).min_side, read_class_map(path).sensor) == (0, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[dog]",
        "name: mine",
        "classes: [dog]",
        "name: mine\nclasses: []",
        "name: mine\nclasses: dog",
        "name: mine\nclasses: [1]",
        "name: mine\nclasses: [dog, Dog]",
        "name: mine\nclasses: ['two wheeler', two_wheeler]",
        "name: mine\nclasses: [all]",
        "name: mine\nclasses: ['a,b']",
        "name: mine\nclasses: ['a=b']",
        "name: mine\nclasses: [' a']",
        "name: mine\nclasses: ['']",
        'name: mine\nclasses: ["a\\nb"]',
        'name: mine\nclasses: ["\\ud800"]',
        f"name: mine\nclasses: [{'a' * 61}]",
        f"name: mine\nclasses: {[f'c{k}' for k in range(256)]}",
        "name: mine\nclasses: [dog]\nsensor: 3",
        "name: mine\nclasses: [dog]\nsensor: [0, 1]",
        "name: mine\nclasses: [dog]\nsensor: [16384, 16384]",
        "name: mine\nclasses: [dog]\nmin_side: -1",
        "name: mine\nclasses: [dog]\nmin_side: .nan",
        "name: mine\nclasses: [dog]\nmin_side: .inf",
        "name: mine\nclasses: [dog]\nmin_side: true",
        "name: mine\nclasses: [dog]\nmin_side: '3'",
        "name: mine\nclasses: [dog]\nskip: 1e9",
        "name: mine\nclasses: [dog]\nmore: 1",
        "name: mine\nname: mine\nclasses: [dog]",
        "name: &a mine\nclasses: [*a]",
        "name: mine\nclasses: [\xff",
    ],
)
def test_any_other_file_is_refused_in_one_sentence_that_names_it(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"mine\.yaml: ") as caught:
        read_class_map(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_a_pipe_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="no such file; give dlut, gen1"):
        read_class_map(tmp_path / "gone.yaml")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="is a pipe"):
        read_class_map(tmp_path / "pipe")


def test_255_classes_are_not_too_many():
    names = [f"class {k}" for k in range(255)]
    assert class_map_of({"name": "many", "classes": names}, "").classes == tuple(names)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["name", "classes", "sensor", "min_side"]), inner)
        ),
    )
)
def test_plain_values_are_a_class_map_or_refused(content):
    try:
        found = class_map_of(content, "a file")
    except SettingsError:
        return
    assert class_map_of(found.model_dump(), "itself") == found


def test_classes_are_found_by_what_people_type():
    assert class_numbers(None, CLASS_NAMES) == tuple(range(7))
    assert class_numbers(["Two_Wheeler", "car"], CLASS_NAMES) == (1, 2)
    with pytest.raises(UsageError, match="'tram' is not a class; choose among car, pedestrian"):
        class_numbers(["tram"], ("car", "pedestrian"))
    with pytest.raises(UsageError, match="'two wheeler' is named twice"):
        class_numbers(["two_wheeler", "two wheeler"], CLASS_NAMES)
