"""Settings that a user changes: a YAML file of them, single keys on the command line."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError, UsageError
from pipeline.files.documents import MalformedError, parse_yaml
from pipeline.files.inputs import read_regular
from pipeline.settings import shown

LARGEST_FILE = 1 << 16  # bytes; all settings of a run are about 3 kB
_DEEPEST_KEY = 8  # model.anchors.levels has three parts
_SHORT_NAME = 200  # characters of a --set that a message repeats


def read_settings_file(path: Path) -> Mapping[str, Any]:
    """Keys and values of a YAML file; none of an empty one.

    Raises:
        SettingsError: there is no such file, it is no YAML of keys and values, or too large.
        OSError: it cannot be read.
    """
    try:
        content = parse_yaml(read_regular(path, LARGEST_FILE).decode())
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; give a YAML file of settings.") from None
    except UsageError as error:
        raise SettingsError(str(error)) from None
    except (MalformedError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as YAML settings ({error}).") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(
            f"{path}: holds {type(content).__name__}; settings are keys and values."
        )
    return content


def merge_overrides(values: dict[str, Any], overrides: Iterable[str]) -> list[str]:
    """Write texts such as ``training.epochs=5`` into ``values``; a value is read as YAML.

    Returns:
        How to name each of them as a source.

    Raises:
        SettingsError: one is no key with a value.
    """
    sources = []
    for text in overrides:
        source = f"--set {_shortened(text)}"
        key, equals, value = text.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise SettingsError(f"{source}: give a key and a value, as in training.epochs=5.")
        if len(parts) > _DEEPEST_KEY:
            raise SettingsError(f"{source}: the key has {len(parts)} parts; no setting is so deep.")
        try:
            if len(value) > LARGEST_FILE:
                raise MalformedError(f"it is longer than {LARGEST_FILE} characters")
            nested: Any = parse_yaml(value)
        except MalformedError as error:
            raise SettingsError(f"{source}: the value is not YAML ({error}).") from None
        for part in reversed(parts):
            nested = {part: nested}
        merge(values, nested, source)
        sources.append(source)
    return sources


def merge(values: dict[str, Any], changes: Mapping[str, Any], source: str) -> None:
    """Write ``changes`` into ``values``, group by group.

    Raises:
        SettingsError: a group of settings is given a value.
    """
    for key, change in changes.items():
        if isinstance(values.get(key), dict):
            if not isinstance(change, dict):
                raise SettingsError(
                    f"{source}: '{key}' is a group of settings ({', '.join(values[key])}), "
                    f"not {shown(change)}."
                )
            merge(values[key], change, source)
        else:
            values[key] = change


def _shortened(text: str) -> str:
    """A text for a message: of one that is longer than any name its begin."""
    return text if len(text) <= _SHORT_NAME else text[:_SHORT_NAME] + "…"
