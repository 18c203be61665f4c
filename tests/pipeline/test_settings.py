"""What all settings share, and what those add that decide what is stored."""

import pytest
from pydantic import Field

from pipeline.errors import SettingsError
from pipeline.settings import Settings, StrictSettings, load_settings


class Lenient(Settings):
    count: int = Field(default=1, description="a number")


class Strict(StrictSettings):
    count: int = Field(default=1, ge=0, description="a number")
    share: float = Field(default=0.5, description="a part")


def test_other_settings_convert_what_yaml_and_commands_give():
    assert load_settings(Lenient, {"count": "5"}, "run.yaml").count == 5


@pytest.mark.parametrize("wrong", ["5", True, 5.0, 5.5, None, [5], -1])
def test_a_strict_setting_takes_its_own_type_only(wrong):
    with pytest.raises(SettingsError, match=r"^count: .*, not .*[^.]\.$"):
        Strict(count=wrong)


@pytest.mark.parametrize("wrong", ["0.5", True, float("nan"), float("inf")])
def test_a_strict_float_is_a_finite_number(wrong):
    with pytest.raises(SettingsError, match=r"^share: "):
        Strict(share=wrong)
    assert Strict(share=1).share == 1


@pytest.mark.parametrize("kind", [Lenient, Strict])
def test_an_unknown_key_is_one_sentence_with_its_source(kind):
    with pytest.raises(
        SettingsError, match=r"run\.yaml: 'cuont' is not a setting \(there are count"
    ):
        load_settings(kind, {"cuont": 1}, "run.yaml")


def test_settings_that_must_be_complete_name_what_is_missing():
    assert load_settings(Strict, {"count": 3}, "run.yaml").share == 0.5
    with pytest.raises(SettingsError, match=r"^run\.yaml: 'share' is missing\.$"):
        load_settings(Strict, {"count": 3}, "run.yaml", complete=True)


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Strict().count = 2


@pytest.mark.parametrize("wrong", ["\udc80", "a" * 10**6, {"\udc80": 1}, ["x"] * 10**5])
@pytest.mark.parametrize("kind", [Lenient, Strict])
def test_a_value_that_is_no_text_or_without_end_is_a_short_sentence(kind, wrong):
    with pytest.raises(SettingsError, match=r"^run\.yaml: ") as raised:
        load_settings(kind, {"count": wrong}, "run.yaml")
    assert len(str(raised.value)) < 500
    with pytest.raises(SettingsError, match=r"^run\.yaml: "):
        load_settings(kind, {"a" * 10**6: wrong}, "run.yaml")
