"""The settings of pillars and cache: what a cache stores of them, and how strictly they are read."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cache.reader import PillarCache
from pipeline.cache.records import describe, group_document, settings_of
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CacheError, SettingsError
from pipeline.pillars.encoding import PillarEncoding
from pipeline.pillars.settings import PillarSettings
from pipeline.release.classes import CLASS_MAPS, name_to_store

#: Fingerprints, and the sha256 of the root's zarr.json, as caches on disk have them.
STORED: list[tuple[dict[str, Any], str, str]] = [
    (
        {},
        "e10c6a728558b5fe9f8b91bbd87025873a81ca876d013891515c15e92d195e88",
        "60ebd0938b58646388495f485f79bb503efb4ce359bf715dd690162e9185bc77",
    ),
    (
        {"preset": "paper"},
        "dab82967cfb2c01ae6c0ee8314505333343ffc69fa90a92d378c2bb81b9b7741",
        "8ca6c80bba7a757d4c9257e3f33f98bc3c879f837dff65093999369afc5f9ba8",
    ),
    (
        {"preset": "paper", "time_steps": 256},
        "d5934ecc974fa28265d7e0d8f4c337a06b3998b2135cf5c783c638d79b07545a",
        "3ee3d1441fa728a0f07a95a0caa8b73192fc28b0c208adf78b923894ac94a4b0",
    ),
    (
        {
            "preset": "paper",
            "grid": (96, 64),
            "time_cells": 4,
            "max_points": 3,
            "max_pillars": 500,
            "dedup": "none",
            "overflow": "stop",
        },
        "0637aca31f9d445916373ea66b5d6a473be644977d0153be11397784df889935",
        "5b7df9127254364b407ea3603c46f1d18a9d28750ce879443d8a20f82621dc60",
    ),
    (
        {
            "grid": (64, 48),
            "num_bins": 7,
            "classes": (2, 0, 5),
            "min_diagonal": 30.0,
            "min_side": 10.5,
        },
        "e7737fc69f7c12d3b897932c2ba513b27cc61273e7584430301ac877b79a8210",
        "ffa4dd4649550072db5bafa817d66ec9d16d5e098d214a4afa6bb349e4199a0d",
    ),
    (  # not there at all where nothing is dropped
        {"drop": ("duplicate-box", "box-without-events")},
        "98f9f14fa87604942412173257a6ee12522d3b975df31d6048fd7d06f42397df",
        "ee65dee1430903803fe7110917b9528789bf2e2f948a16c373d69607d8cfcc25",
    ),
    (  # whole numbers stay whole
        {"min_diagonal": 60, "min_side": 0},
        "5345e60e356286f5c7c2a4424f3022649633354aa7f4128c033cbda0a78e36a1",
        "6bd694a26778aa8a00d2fb305a93f97a30cee40cafaf94a68b77e60daa2ff060",
    ),
]
WRONG: list[tuple[str, Any]] = [
    *[("preset", value) for value in ("papers", 1, None)],
    *[
        ("grid", value)
        for value in ([64], [64, 48, 1], [64, 0], ["64", 48], "64x48", 64, [64.0, 48])
    ],
    *[("grid", [32768, 32768])],
    *[("num_bins", value) for value in (1, 256, "5", True, 5.0)],
    *[("time_cells", value) for value in (0, False, 1.5)],
    *[("max_points", value) for value in (0, 8, "3", 3.0)],
    *[("max_pillars", value) for value in (0, 1e5)],
    *[("dedup", value) for value in ("cell", False)],
    *[("overflow", value) for value in ("halt", 0)],
    *[("time_steps", value) for value in (-1, 1, 256, 5000, True)],  # the preset is release
    *[("min_diagonal", value) for value in (-1.0, "60", True, None, float("inf"))],
    *[("min_side", value) for value in (-0.5, float("nan"))],
    *[
        ("drop", value)
        for value in (["wrong-class"], "box-jump", ["box-jump", "duplicate-box"], ["box-jump"] * 2)
    ],
    *[("classes", value) for value in ([], [7], [-1], [True], ["car"], 3, [1.0])],
    *[("class_names", value) for value in ([], ["a", "A"], [1], "car", ["all"], None)],
]


@pytest.mark.parametrize(("settings", "fingerprint", "document"), STORED)
def test_what_a_cache_stores_of_its_settings_is_the_same_to_the_byte(
    settings, fingerprint, document
):
    attributes = describe(CacheSettings(**settings))
    assert attributes["fingerprint"] == fingerprint
    assert hashlib.sha256(group_document(attributes)).hexdigest() == document
    stored = json.loads(group_document(attributes))["attributes"]
    read = settings_of(stored, "a cache")
    assert read == CacheSettings(**settings)
    assert group_document(describe(read)) == group_document(attributes)


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_wrong_setting_is_one_sentence_that_names_it(key, value):
    with pytest.raises(SettingsError, match=key) as raised:
        CacheSettings(**{key: value})
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(".")


def stored_settings(folder: Path, **changes: Any) -> Path:
    """A cache without recordings whose settings were changed on disk, with a fitting fingerprint."""
    settings = {**CacheSettings().stored(), **changes}
    attributes = describe(CacheSettings())
    attributes["settings"] = {key: value for key, value in settings.items() if value != "absent"}
    identity = {key: value for key, value in attributes.items() if key != "fingerprint"}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    attributes["fingerprint"] = hashlib.sha256(canonical.encode()).hexdigest()
    folder.mkdir()
    (folder / "zarr.json").write_bytes(group_document(attributes))
    return folder


def test_a_cache_with_sound_settings_opens(tmp_path):
    assert PillarCache(stored_settings(tmp_path / "c")).settings == CacheSettings()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[case for case in WRONG if str(case[1]) not in ("inf", "nan")],
        *[(key, "absent") for key in CacheSettings().stored()],
        ("colour", "red"),
    ],
)
def test_a_wrong_setting_in_a_cache_is_one_sentence_that_names_both(tmp_path, key, value):
    folder = stored_settings(tmp_path / "c", **{key: value})
    with pytest.raises(CacheError) as raised:
        PillarCache(folder)
    message = str(raised.value)
    assert message.startswith(f"{folder}: the cache's settings: ")
    assert key in message
    assert message.endswith("; build it again.")
    assert "\n" not in message


@pytest.mark.parametrize("settings", [None, [], "release", 3])
def test_settings_that_are_no_mapping_are_refused(tmp_path, settings):
    folder = tmp_path / "c"
    folder.mkdir()
    attributes = {**describe(CacheSettings()), "settings": settings}
    (folder / "zarr.json").write_bytes(group_document(attributes))
    with pytest.raises(CacheError, match=r"/c: the cache's settings: 'preset' is missing; build"):
        PillarCache(folder)


def test_the_encoding_of_a_sensor_carries_every_pillar_setting():
    settings = CacheSettings(preset="paper", grid=(64, 48), time_steps=64, classes=(1,))
    encoding = settings.encoding((640, 480))
    assert encoding == PillarEncoding(
        PillarSettings(preset="paper", grid=(64, 48), time_steps=64), (640, 480)
    )
    for name in PillarSettings.model_fields:
        assert getattr(encoding.settings, name) == getattr(settings, name)


@pytest.mark.parametrize("sensor", [(0, 720), (1280, -1), (16385, 720)])
def test_an_impossible_sensor_is_refused(sensor):
    with pytest.raises(SettingsError, match="sides go from 1 to 16384 pixels"):
        CacheSettings().encoding(sensor)


def test_a_cache_of_other_classes_holds_their_names_and_those_of_the_dlut_go_without_saying():
    mine = CacheSettings(class_names=("dog", "cat", "cow"))
    assert mine.classes == (0, 1, 2)
    assert mine.stored()["class_names"] == ("dog", "cat", "cow")
    assert "class_names" not in CacheSettings().stored()
    some = CacheSettings(class_names=("dog", "cat", "cow"), classes=(2, 0))
    assert some.output_names == ("cow", "dog")
    assert some.numbers_of(["dog"]) == (0,)
    assert some.label_rules((64, 48)).known == 3
    assert settings_of(describe(some), "here") == some
    with pytest.raises(SettingsError, match="classes: the release has the numbers 0 to 0, not 1"):
        CacheSettings(class_names=("dog",), classes=(1,))


@pytest.mark.parametrize("name", list(CLASS_MAPS))
def test_a_published_data_set_is_known_by_its_classes_or_by_its_name(name):
    of = CLASS_MAPS[name]
    settings = CacheSettings(
        class_names=of.classes, data_set=name_to_store(of), min_side=2.0, min_diagonal=2.0
    )
    assert ("data_set" in settings.stored()) == (name == "1mpx")
    assert settings.class_map == of.model_copy(update={"sensor": settings.class_map.sensor})


def test_classes_that_were_chosen_of_a_data_set_keep_its_rules():
    some = CLASS_MAPS["gen1"].model_copy(update={"classes": ("car",)})
    settings = CacheSettings(class_names=some.classes, data_set=name_to_store(some))
    assert settings.class_map == some


def test_another_data_set_has_the_rules_of_its_cache():
    settings = CacheSettings(
        class_names=("dog", "cat"), data_set="mine", min_side=4.0, min_diagonal=0.0
    )
    found = settings.class_map
    assert (found.name, found.classes) == ("mine", ("dog", "cat"))
    assert (found.min_side, found.min_diagonal) == (4, 0)
    assert CacheSettings(class_names=("dog", "cat")).class_map is None
