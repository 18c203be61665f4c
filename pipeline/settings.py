"""What every settings model shares: frozen, an unknown key is an error, every refusal one sentence.

Settings are pydantic models. :func:`load_settings` reads one from plain keys and values, as JSON and
YAML give them.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from pipeline.errors import SettingsError

_LONGEST_SHOWN = 80  # characters of a value in a sentence


class Settings(BaseModel):
    """Base of all settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StrictSettings(Settings, strict=True):
    """Settings that decide what is stored: no value is converted, and a wrong one never gets in.

    A string is no number, True is no 1, and 5.0 is no 5. A wrong value raises
    :class:`SettingsError`, whether the settings are read from a file or made in Python. Such
    settings are flat: none holds another.
    """

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_in_one_sentence(
        cls, values: Any, handler: ModelWrapValidatorHandler["StrictSettings"]
    ) -> "StrictSettings":
        try:
            return handler(values)
        except ValidationError as error:
            raise SettingsError(f"{_problems(cls, error)}.") from error


S = TypeVar("S", bound=Settings)


def load_settings(
    kind: type[S], mapping: Mapping[str, Any], source: str, *, complete: bool = False
) -> S:
    """Settings of ``kind`` from plain keys and values.

    Args:
        kind: the model.
        mapping: keys and values.
        source: where they come from, for the message.
        complete: every key must be there; without it a missing one has its default.

    Raises:
        SettingsError: a key is unknown or missing, or a value has the wrong type or range, in one
            sentence.
    """
    if complete and (missing := [name for name in kind.model_fields if name not in mapping]):
        raise SettingsError(f"{source}: '{missing[0]}' is missing.")
    try:
        return kind.model_validate(dict(mapping))
    except ValidationError as error:
        raise SettingsError(f"{source}: {_problems(kind, error)}") from error
    except SettingsError as error:  # of StrictSettings, which do not know where they come from
        raise SettingsError(f"{source}: {error}") from error
    except UnicodeEncodeError:  # half of a character's UTF-16 code, as JSON and YAML may escape it
        raise SettingsError(f"{source}: a text in it is not Unicode.") from None


def _problems(kind: type[Settings], error: ValidationError) -> str:
    return "; ".join(_problem(kind, detail) for detail in error.errors())


def _problem(kind: type[Settings], detail: Any) -> str:
    name = _shortened(".".join(str(part) for part in detail["loc"]))
    if detail["type"] == "extra_forbidden":
        group: Any = kind
        for part in detail["loc"][:-1]:
            group = group.model_fields[part].annotation
        return f"'{name}' is not a setting (there are {', '.join(group.model_fields)})"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{name}: {message}, not {_shortened(repr(detail['input']))}" if name else message


def _shortened(text: str) -> str:
    """A value for a sentence: others choose how long it is."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
