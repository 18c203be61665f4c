"""What every settings model shares: frozen, an unknown key is an error, every refusal one sentence.

Settings are pydantic models. :func:`load_settings` reads one from plain keys and values, as JSON and
YAML give them.
"""

import difflib
import json
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

_LONGEST_SHOWN = 200  # characters of a value in a sentence


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
    kind: type[S],
    mapping: Mapping[str, Any],
    source: str,
    *,
    complete: bool = False,
    converted: bool = True,
) -> S:
    """Settings of ``kind`` from plain keys and values.

    Args:
        kind: the model.
        mapping: keys and values.
        source: where they come from, for the message.
        complete: every key must be there; without it a missing one has its default.
        converted: a text may stand for a number, 5.0 for 5 and 1 for true. Without it values have the
            types that JSON gives them, and lists stand for tuples.

    Raises:
        SettingsError: a key is unknown or missing, or a value has the wrong type or range, in one
            sentence.
    """
    if complete and (missing := [name for name in kind.model_fields if name not in mapping]):
        raise SettingsError(f"{source}: '{missing[0]}' is missing.")
    try:
        if converted:
            return kind.model_validate(dict(mapping))
        return kind.model_validate_json(_as_json(mapping, source), strict=True)
    except ValidationError as error:
        raise SettingsError(f"{source}: {_problems(kind, error)}") from error
    except SettingsError as error:  # of StrictSettings, which do not know where they come from
        raise SettingsError(f"{source}: {error}") from error
    except UnicodeEncodeError:  # half of a character's UTF-16 code, as JSON and YAML may escape it
        raise SettingsError(f"{source}: a text in it is not Unicode.") from None


def shown(value: Any) -> str:
    """A value for a message, cut short where it is longer than any that fits."""
    return _shortened(repr(value))


def _as_json(mapping: Mapping[str, Any], source: str) -> str:
    try:
        return json.dumps(dict(mapping))
    except (TypeError, ValueError, RecursionError, OverflowError):
        raise SettingsError(f"{source}: holds more than plain keys and values.") from None


def _problems(kind: type[Settings], error: ValidationError) -> str:
    return "; ".join(_problem(kind, detail) for detail in error.errors())


def _problem(kind: type[Settings], detail: Any) -> str:
    name = _shortened(".".join(str(part) for part in detail["loc"]))
    if detail["type"] == "extra_forbidden":
        group: Any = kind
        for part in detail["loc"][:-1]:
            group = group.model_fields[part].annotation
        alike = difflib.get_close_matches(str(detail["loc"][-1]), group.model_fields, n=1)
        asked = f"; did you mean {alike[0]}?" if alike else ""
        return f"'{name}' is not a setting (there are {', '.join(group.model_fields)}){asked}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{name}: {message}, not {shown(detail['input'])}" if name else message


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
